import type { Command } from 'commander';
import { EXIT_DONE } from './exit-code.ts';
import type { Output } from './output.ts';
import { SERVER_DEFAULT, ServerClient, type ServerFlags } from './server-client.ts';
import { attempt, newCommand, type Shell, withJson } from './shell.ts';

/** A command that talks to a server. */
export const serverCall = (name: string, description: string): Command =>
  withJson(newCommand(name, description))
    .option('--at <url>', `address of the server (default: SPEIL_SERVER, or ${SERVER_DEFAULT})`)
    .option('--token-file <file>', 'file with the token to show (default: SPEIL_TOKEN_FILE, or none)')
    .option('--insecure', 'the way to a server without TLS is safe, though it leaves this machine');

/** Runs a command's work with a client of the server that its flags name. */
export const withServer = (
  shell: Shell,
  flags: ServerFlags,
  work: (server: ServerClient, output: Output) => Promise<number | undefined>,
): Promise<void> =>
  attempt(shell, flags, async (output) => {
    using server = ServerClient.of(flags, shell.environment);
    return (await work(server, output)) ?? EXIT_DONE;
  });

export const ARGUMENT_DATABASE = 'its name: lower-case letters, digits, - and _';
