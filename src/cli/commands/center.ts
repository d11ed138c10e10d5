import type { Command } from 'commander';
import { groupOf } from '../center-shell.ts';
import { examples, type Shell } from '../shell.ts';
import { mirrorGroup } from './center-mirror.ts';
import { preferencesCommand } from './center-preferences.ts';
import { serveCommand } from './center-serve.ts';
import { maintenanceCommand, quietHoursCommand, webhookCommand } from './center-settings.ts';
import { eventsCommand, runsCommand, statusCommand } from './center-state.ts';
import { tenantGroup } from './center-tenant.ts';
import { tokenGroup } from './center-token.ts';
import { resyncCommand, runCommand } from './center-work.ts';

/** The vendor's side: the service that runs a task for every tenant and application, and what its people type. */
export const centerCommand = (shell: Shell): Command =>
  examples(
    groupOf('center', 'Run mirroring tasks for many tenants on a schedule, and say how they are doing.', [
      serveCommand(shell),
      tenantGroup(shell),
      mirrorGroup(shell),
      preferencesCommand(shell),
      runCommand(shell),
      resyncCommand(shell),
      maintenanceCommand(shell),
      quietHoursCommand(shell),
      webhookCommand(shell),
      statusCommand(shell),
      runsCommand(shell),
      eventsCommand(shell),
      tokenGroup(shell),
    ]),
    [
      ['speil center serve --data center/', 'the service, on http://127.0.0.1:8500'],
      ['speil center tenant add acme --source-file acme.url', 'a tenant and where its rows are'],
      ['speil center mirror add acme --application crm --public-key crm.pub --dialled', 'one of its mirrors'],
      ['speil center status', 'how all of them are doing'],
    ],
    'The commands find the center by --center or SPEIL_CENTER, and show the token of --token-file or SPEIL_TOKEN_FILE.',
  );
