import type { Command } from 'commander';
import type { ClientServiceEvent } from '../../client-service.ts';
import { readText } from '../center-shell.ts';
import {
  readTls,
  type ServiceFlags,
  serviceCommand,
  serviceOptions,
  type TlsFlags,
  withLimits,
} from '../client-settings.ts';
import { eventLine } from '../client-view.ts';
import type { Environment } from '../environment.ts';
import { EXIT_DONE } from '../exit-code.ts';
import type { Output } from '../output.ts';
import { attempt, examples, type Shell } from '../shell.ts';
import { untilAborted } from '../until-aborted.ts';
import { parseListen } from './center-serve.ts';

type Listen = ReturnType<typeof parseListen>;
type ServeFlags = ServiceFlags & TlsFlags & { readonly listen?: Listen; readonly soap?: boolean };
type ConnectFlags = ServiceFlags & { readonly center: string; readonly ca?: string };

const LISTEN_DEFAULT: Listen = { host: '127.0.0.1', port: 8400 };

export const withListen = (command: Command): Command =>
  command
    .option('--tls-cert <file>', 'certificate with its chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--insecure', 'without TLS beyond this machine: something else protects the way')
    .option('--soap', 'take calls of SuperOffice’s SOAP contract as well');

export function serveCommand(shell: Shell): Command {
  const command = serviceCommand('serve', 'Listen for the calls of a center’s tasks until it is interrupted.').option(
    '--listen <host:port>',
    'where calls are taken (default: 127.0.0.1:8400)',
    parseListen,
  );
  withLimits(withListen(command)).action((flags: ServeFlags) => runServe(shell, flags));
  return examples(command, SERVE_EXAMPLES, NOTES);
}

const COMMON = `--application crm --key app.key --trust center.pub`;
const SERVE_EXAMPLES: readonly (readonly [string, string])[] = [
  [
    `speil client serve --listen 0.0.0.0:8400 --tls-cert c.pem --tls-key k.pem --mirror 'sqlite:mirrors/{tenant}.db' ${COMMON}`,
    'a file for each tenant',
  ],
  [
    `speil client serve --mirror 'postgres://owner@here/mirror_{tenant}' ${COMMON}`,
    'behind a proxy on this machine that speaks TLS; a database for each tenant',
  ],
];
const NOTES =
  'It ends with SIGINT or SIGTERM, after the calls under way. Passwords may come from PGPASSWORD or ~/.pgpass.';

const runServe = (shell: Shell, flags: ServeFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { serveClient } = await import('../../client-service.ts');
    const { listen = LISTEN_DEFAULT, insecure, soap } = flags;
    const { signal } = shell.environment;
    await using _server = await serveClient({
      ...(await serviceOptions(flags)),
      listen,
      tls: readTls(flags),
      insecure,
      soap,
      onEvent: logTo(output, shell.environment),
    });
    await untilAborted(signal);
    return EXIT_DONE;
  });

export function connectCommand(shell: Shell): Command {
  const command = withLimits(
    withCenterAddress(serviceCommand('connect', 'Dial out to a center and serve its tasks until it is interrupted.')),
  );
  command.action((flags: ConnectFlags) => runConnect(shell, flags));
  return examples(
    command,
    [
      [
        `speil client connect --center https://center:8500 --mirror 'sqlite:mirrors/{tenant}.db' ${COMMON}`,
        'needs no open port; goes through HTTPS_PROXY',
      ],
    ],
    NOTES,
  );
}

export const withCenterAddress = (command: Command): Command =>
  command
    .requiredOption('--center <url>', 'address of the center, https://host[:port]')
    .option('--ca <file>', 'certificate of an authority to trust besides the usual ones, PEM')
    .option('--insecure', 'without TLS beyond this machine: something else protects the way');

const runConnect = (shell: Shell, flags: ConnectFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { connectClient } = await import('../../client-service.ts');
    const { proxyFromEnvironment } = await import('../../client/dialled/proxy.ts');
    const { environment } = shell;
    await connectClient({
      ...(await serviceOptions(flags)),
      center: flags.center,
      ca: flags.ca === undefined ? undefined : readText(flags.ca),
      proxy: proxyFromEnvironment(environment.variables, flags.center),
      insecure: flags.insecure,
      signal: environment.signal,
      onEvent: logTo(output, environment),
    });
    return EXIT_DONE;
  });

const logTo =
  (output: Output, { clock }: Environment) =>
  (event: ClientServiceEvent): void => {
    const at = new Date(clock.now()).toISOString();
    output.event({ ...event, at });
    const line = eventLine(event, output.paintResult);
    if (line !== null) output.result([`${at.slice(0, 19)}Z  ${line}`]);
  };
