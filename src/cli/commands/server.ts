import { type Command, InvalidArgumentError } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { SettingKind } from '../../runtime/config.ts';
import type { Listen } from '../../service/listener.ts';
import { readTls } from '../client-settings.ts';
import { type Environment, isTerminal } from '../environment.ts';
import { EXIT_DONE } from '../exit-code.ts';
import { parseSetting, withoutUndefined } from '../settings.ts';
import { attempt, examples, newCommand, type Shell, withJson } from '../shell.ts';
import { untilAborted } from '../until-aborted.ts';
import { parseListen } from './center-serve.ts';
import { tokenGroup } from './server-token.ts';

type ServerSettings = {
  readonly name?: string;
  readonly data?: string;
  readonly listen?: Listen;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tokenFile?: string;
  readonly requireToken?: boolean;
  readonly insecure?: boolean;
  readonly slowMs?: number;
};

type ServerFlags = ServerSettings & { readonly config?: string; readonly json?: boolean };

/** Names in a configuration file: the flags in camelCase. */
const CONFIG_SETTINGS: Readonly<Record<keyof ServerSettings, SettingKind>> = {
  name: 'text',
  data: 'text',
  listen: 'text',
  tlsCert: 'text',
  tlsKey: 'text',
  tokenFile: 'text',
  requireToken: 'flag',
  insecure: 'flag',
  slowMs: 'text-or-number',
};

/** The server itself, and with a word behind it what its people type. */
export function serverCommand(shell: Shell): Command {
  const command = withJson(newCommand('server', 'Serve SQLite databases to clients of libSQL until it is interrupted.'))
    .option('--name <name>', 'its name in logs and status (default: the name of this machine)', parseName)
    .option('--data <folder>', 'its databases, their journals and its tokens; made when it is missing')
    .option('--listen <host:port>', 'where clients reach it (default: 127.0.0.1:7101)', parseListen)
    .option('--config <file>', 'read settings from a JSON file; flags win')
    .option('--tls-cert <file>', 'certificate with its chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option(
      '--token-file <file>',
      'admin token, made when it is missing (default: admin.token in --data); as --require-token',
    )
    .option('--require-token', 'serve nobody without a token, on this machine neither')
    .option('--insecure', 'listen beyond this machine without TLS: something else protects the way')
    .option('--slow-ms <ms>', 'log statements that take longer, without their values (default: 1000)', parseSlowMs)
    .action((flags: ServerFlags) => runServer(shell, flags));
  // What stands behind `token` is that command's own: it has options of the same names.
  command.enablePositionalOptions().addCommand(tokenGroup(shell));
  return examples(command, EXAMPLES, NOTES);
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['speil server --data a/', 'on http://127.0.0.1:7101, for this machine'],
  ['speil server --data a/ --listen 0.0.0.0:7101 --tls-cert c.pem --tls-key k.pem', 'for others, who need a token'],
  ['speil server --config server.json', '{ "data": "a/", "listen": "127.0.0.1:7101", "slowMs": 200 }'],
  ['speil server token create --database shop --access write', 'a token for an application'],
];

const NOTES = `Clients find a database at http://host:port/<database>/, with the slash at its end. It ends with SIGINT or SIGTERM,
after the requests under way; its databases are ordinary SQLite files then.`;

const SERVER_HOST = '127.0.0.1';
const SERVER_PORT = 7101;

function parseName(text: string): string {
  if (/^[\w.-]{1,63}$/.test(text)) return text;
  throw new InvalidArgumentError('A name has 1 to 63 letters, digits, ., - and _.');
}

function parseSlowMs(text: string): number {
  const ms = Number(text);
  if (text.trim() !== '' && Number.isFinite(ms) && ms >= 0) return ms;
  throw new InvalidArgumentError('Write milliseconds, as in 200.');
}

const runServer = (shell: Shell, flags: ServerFlags): Promise<void> =>
  attempt(shell, flags, async () => {
    const { environment } = shell;
    const settings = settingsOf(flags, environment);
    const { data, listen = { host: SERVER_HOST, port: SERVER_PORT } } = settings;
    if (data === undefined) throw noData();
    const { startServer } = await import('../../server.ts');
    await using _server = await startServer({
      ...{ data, listen, tls: readTls(settings) },
      ...{ name: settings.name, tokenFile: settings.tokenFile, requireToken: settings.requireToken },
      ...{ insecure: settings.insecure, slowMs: settings.slowMs },
      log: {
        write: (text) => void environment.stdout.write(text),
        form: !flags.json && isTerminal(environment.stdout, environment.variables) ? 'words' : 'json',
      },
    });
    await untilAborted(environment.signal);
    return EXIT_DONE;
  });

const noData = (): SpeilError =>
  new SpeilError('USAGE', 'The folder for the databases is missing.', {
    hint: 'Write --data <folder>, or "data" in the file of --config.',
  });

function settingsOf({ config, json: _, ...flags }: ServerFlags, environment: Environment): ServerSettings {
  if (config === undefined) return flags;
  const raw = environment.readConfig(config, CONFIG_SETTINGS);
  const read = <T>(name: keyof ServerSettings, parse: (text: string) => T): T | undefined => {
    const value = raw[name];
    return value === undefined ? undefined : parseSetting(config, name, value, (given) => parse(String(given)));
  };
  const same = (text: string): string => text;
  const isTrue = (text: string): boolean => text === 'true';
  const settings = withoutUndefined({
    ...{ name: read('name', parseName), data: read('data', same), listen: read('listen', parseListen) },
    ...{ tlsCert: read('tlsCert', same), tlsKey: read('tlsKey', same), tokenFile: read('tokenFile', same) },
    ...{ requireToken: read('requireToken', isTrue), insecure: read('insecure', isTrue) },
    slowMs: read('slowMs', parseSlowMs),
  });
  return { ...settings, ...withoutUndefined(flags) };
}
