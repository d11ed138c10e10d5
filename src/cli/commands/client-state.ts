import type { Command } from 'commander';
import { readText } from '../center-shell.ts';
import {
  keyTexts,
  MIRROR_OPTION,
  readTls,
  type ServiceFlags,
  serviceCommand,
  type TlsFlags,
} from '../client-settings.ts';
import { checkLines, renderInfo } from '../client-view.ts';
import { EXIT_DONE, EXIT_FAILED } from '../exit-code.ts';
import { loadHooks } from '../hooks-file.ts';
import { attempt, type CommonFlags, examples, newCommand, type Shell, withJson, withTenant } from '../shell.ts';
import { parseListen } from './center-serve.ts';
import { withListen } from './client-serve.ts';

type ValidateFlags = ServiceFlags &
  TlsFlags & {
    readonly listen?: ReturnType<typeof parseListen>;
    readonly soap?: boolean;
    readonly url?: string;
    readonly center?: string;
    readonly ca?: string;
  };

export function validateCommand(shell: Shell): Command {
  const command = withListen(serviceCommand('validate', 'Check everything that a client needs, and change nothing.'))
    .option('--listen <host:port>', 'where it would listen', parseListen)
    .option('--url <url>', 'address at which the center reaches this client: a real POST is sent there')
    .option('--center <url>', 'address of the center that this client would dial')
    .option('--ca <file>', 'certificate of an authority to trust besides the usual ones, PEM')
    .action((flags: ValidateFlags) => runValidate(shell, flags));
  const common = `--mirror 'sqlite:mirrors/{tenant}.db' --application crm --key app.key --trust center.pub`;
  return examples(
    command,
    [
      [`speil client validate --url https://mirror.example.com ${common}`, 'a client that listens'],
      [`speil client validate --center https://center:8500 ${common}`, 'a client that dials'],
    ],
    'Each check is one line: ok, failed with a hint, or - when it was not looked at. Exit code 1 when one has failed.',
  );
}

const runValidate = (shell: Shell, flags: ValidateFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { validateClient } = await import('../../client-validate.ts');
    const { proxyFromEnvironment } = await import('../../client/dialled/proxy.ts');
    const { hooks, ca, center } = flags;
    const { variables } = shell.environment;
    const { ok } = await validateClient({
      mirror: flags.mirror,
      application: flags.application,
      keys: () => keyTexts(flags),
      soap: flags.soap,
      hooks: hooks === undefined ? undefined : () => loadHooks(hooks),
      listen: flags.listen,
      tls: flags.tlsCert === undefined && flags.tlsKey === undefined ? undefined : () => requireTls(flags),
      insecure: flags.insecure,
      url: flags.url,
      center,
      ca: ca === undefined ? undefined : () => readText(ca),
      proxy: center === undefined ? undefined : proxyFromEnvironment(variables, center),
      onCheck: (check) => {
        output.event({ event: 'check', ...check });
        output.result(checkLines(check, output.paintResult));
      },
    });
    return ok ? EXIT_DONE : EXIT_FAILED;
  });

function requireTls(flags: ValidateFlags) {
  const tls = readTls(flags);
  if (tls === undefined) throw new Error('one of the two was given');
  return tls;
}

type InfoFlags = CommonFlags & { readonly mirror: string };

export function infoCommand(shell: Shell): Command {
  const command = withJson(newCommand('info', 'Say which tenants there are and how far each has come.'))
    .requiredOption('--mirror <address>', MIRROR_OPTION)
    .action((flags: InfoFlags) => runInfo(shell, flags));
  return examples(withTenant(command), [
    [`speil client info --mirror 'sqlite:mirrors/{tenant}.db'`, 'tenants, tables, positions, last cycles and sizes'],
    [`speil client info --mirror 'postgres://owner@here/mirror_{tenant}' --json`, 'the same for a program'],
  ]);
}

const runInfo = (shell: Shell, flags: InfoFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { clientInfo } = await import('../../client-info.ts');
    const info = await clientInfo(flags.mirror, { tenant: flags.tenant });
    output.event({ event: 'client', ...info });
    output.result(renderInfo(info, output.paintResult));
    return info.tenants.some(({ error }) => error !== null) ? EXIT_FAILED : EXIT_DONE;
  });
