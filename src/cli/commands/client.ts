import type { Command } from 'commander';
import { groupOf } from '../center-shell.ts';
import { examples, type Shell } from '../shell.ts';
import { connectCommand, serveCommand } from './client-serve.ts';
import { infoCommand, validateCommand } from './client-state.ts';

/** The customer's side: the service that writes the mirrors when a center's tasks call. */
export const clientCommand = (shell: Shell): Command =>
  examples(
    groupOf('client', 'Keep mirrors up to date for an operation center that runs elsewhere.', [
      serveCommand(shell),
      connectCommand(shell),
      validateCommand(shell),
      infoCommand(shell),
    ]),
    [
      [
        `speil client connect --center https://center:8500 --mirror 'sqlite:mirrors/{tenant}.db' --application crm --key app.key --trust center.pub`,
        'dials out; nobody has to reach this machine',
      ],
      [`speil client info --mirror 'sqlite:mirrors/{tenant}.db'`, 'tenants, tables and positions'],
    ],
    '{tenant} in the address of the mirrors stands for the tenant: each has a database of its own.',
  );
