import { type Command, InvalidArgumentError } from 'commander';
import type { CenterOptions } from '../../center.ts';
import { SpeilError } from '../../core/error.ts';
import { parseWhole, readText } from '../center-shell.ts';
import { isTerminal } from '../environment.ts';
import { EXIT_DONE } from '../exit-code.ts';
import { attempt, examples, newCommand, type Shell, withJson } from '../shell.ts';
import { untilAborted } from '../until-aborted.ts';

type Listen = CenterOptions['listen'];

type ServeFlags = {
  readonly data: string;
  readonly listen: Listen;
  readonly database?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: boolean;
  readonly secretFile?: string;
  readonly cycles?: number;
  readonly mirrorMetrics: boolean;
  readonly json?: boolean;
};

const LISTEN_DEFAULT: Listen = { host: '127.0.0.1', port: 8500 };

export function serveCommand(shell: Shell): Command {
  const command = withJson(newCommand('serve', 'Run an operation center until it is interrupted.'))
    .requiredOption('--data <folder>', 'its keys, its token, and its database unless --database names another')
    .option('--listen <host:port>', 'where its API is (default: 127.0.0.1:8500)', parseListen, LISTEN_DEFAULT)
    .option(
      '--database <url>',
      'PostgreSQL that several centers share (default: SPEIL_CENTER_DATABASE, or one of its own)',
    )
    .option('--tls-cert <file>', 'certificate with its chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option(
      '--secret-file <file>',
      'key for the secrets in the database (default: SPEIL_CENTER_SECRET, or secret.key in --data)',
    )
    .option('--insecure', 'listen beyond this machine, and call clients there, without TLS')
    .option('--cycles <count>', 'cycles at the same time (default: 20)', parseWhole)
    .option('--no-mirror-metrics', 'leave the series of each mirror out of /metrics')
    .action((flags: ServeFlags) => runServe(shell, flags));
  return examples(command, [
    ['speil center serve --data center/', 'one center with a database of its own'],
    [
      'speil center serve --data center/ --database postgres://center@db/center --listen 0.0.0.0:8500 --tls-cert c.pem --tls-key k.pem',
      'one of several',
    ],
  ]);
}

/** `host:port`, `[::1]:port` or a port alone. */
export function parseListen(text: string): Listen {
  const [, host = '', port = ''] = /^(?:(\[[^\]]+\]|[^:[\]]+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535) {
    throw new InvalidArgumentError('Write it as 127.0.0.1:8500, [::1]:8500 or 0.0.0.0:8500.');
  }
  return { host: host === '' ? LISTEN_DEFAULT.host : host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

const runServe = (shell: Shell, flags: ServeFlags): Promise<void> =>
  attempt(shell, flags, async () => {
    const { startCenter } = await import('../../center.ts');
    const { environment } = shell;
    await using _center = await startCenter({
      data: flags.data,
      database: flags.database ?? environment.variables['SPEIL_CENTER_DATABASE'],
      secretFile: flags.secretFile,
      secret: environment.variables['SPEIL_CENTER_SECRET'],
      listen: flags.listen,
      tls: tlsOf(flags),
      insecure: flags.insecure,
      cyclesMax: flags.cycles,
      mirrorMetrics: flags.mirrorMetrics,
      log: {
        write: (text) => void environment.stdout.write(text),
        form: !flags.json && isTerminal(environment.stdout, environment.variables) ? 'words' : 'json',
      },
    });
    await untilAborted(environment.signal);
    return EXIT_DONE;
  });

const tlsOf = ({ tlsCert, tlsKey }: ServeFlags) =>
  tlsCert === undefined && tlsKey === undefined
    ? undefined
    : { cert: pemOf(tlsCert, '--tls-cert'), key: pemOf(tlsKey, '--tls-key') };

function pemOf(file: string | undefined, option: string): string {
  if (file === undefined) {
    throw new SpeilError('USAGE', `${option} is missing.`, { hint: 'A certificate and its key go together.' });
  }
  return readText(file);
}
