import type { ClientInfo, TenantInfo } from '../client-info.ts';
import type { ClientServiceEvent } from '../client-service.ts';
import type { Check } from '../client-validate.ts';
import type { ErrorReport } from '../core/error.ts';
import { formatBytes, formatCount, formatDuration, plural } from './format.ts';
import { inWords } from './output.ts';
import { alignColumns, type Paint, printable } from './text.ts';

/** A line of the service's log; null for what is not worth one. */
export function eventLine(event: ClientServiceEvent, paint: Paint): string | null {
  switch (event.event) {
    case 'listening':
      return `listening on ${event.url} as ${event.application}${event.soap ? ', also for SOAP' : ''}`;
    case 'notice':
      return `${event.tenant}: ${mark(event.kind, paint)}${printable(event.message)}`;
    case 'call-refused': {
      const more = event.untold === 0 ? '' : ` (and ${formatCount(event.untold)} before it)`;
      return `${mark('warning', paint)}a call was refused: ${problem(event.error)}${more}`;
    }
    case 'connecting':
      return event.attempt === 1 ? `connecting to ${event.center}` : null;
    case 'connected':
      return `connected to ${event.center}; its key is ${event.keyId}`;
    case 'disconnected':
      return `${mark('warning', paint)}not connected: ${problem(event.error)}; again in ${formatDuration(event.retryInMs)}`;
    case 'refused':
      return `${mark('error', paint)}refused: ${problem(event.error)}; again in ${formatDuration(event.retryInMs)}`;
    case 'ended':
      return 'ended';
  }
}

const mark = (kind: 'information' | 'warning' | 'error', paint: Paint): string =>
  kind === 'information' ? '' : `${paint(kind === 'error' ? 'red' : 'yellow', `${kind}:`)} `;

const problem = (error: ErrorReport): string =>
  printable(`${inWords(error)}${error.hint === null ? '' : `. ${error.hint}`}`);

const CHECK_MARKS = new Map([
  [true, 'ok'],
  [false, 'failed'],
  [null, '-'],
] as const);

export function checkLines({ name, ok, message, hint }: Check, paint: Paint): readonly string[] {
  const word = (CHECK_MARKS.get(ok) ?? '-').padEnd(6);
  const color = ok === true ? 'green' : ok === false ? 'red' : 'dim';
  const line = `${paint(color, word)}  ${name.padEnd(11)}  ${printable(message)}`;
  return hint === null || hint === ''
    ? [line]
    : [line, `${' '.repeat(21)}${paint('cyan', 'hint:')} ${printable(hint)}`];
}

export function renderInfo({ tenants }: ClientInfo, paint: Paint): readonly string[] {
  if (tenants.length === 0) return ['There are no mirrors yet.'];
  return tenants.flatMap((tenant, index) => [...(index === 0 ? [] : ['']), ...tenantLines(tenant, paint)]);
}

function tenantLines(info: TenantInfo, paint: Paint): readonly string[] {
  const heading = paint('bold', printable(info.tenant));
  if (info.error !== null) return [`${heading}  ${paint('red', 'error:')} ${problem(info.error)}`];
  const facts = `${plural(info.tables.length, 'table')}, ${plural(info.rows, 'row')}, ${formatBytes(info.bytes)}`;
  const last = info.completedAt === null ? 'no completed cycle yet' : `last cycle ${info.completedAt}`;
  const rows = info.tables.map((table) => [
    `  ${printable(table.table)}`,
    table.state,
    formatCount(table.copiedRows ?? table.rows),
    table.lsn ?? '-',
    table.completedAt ?? '-',
  ]);
  return [`${heading}  ${facts}, ${last}  ${paint('dim', printable(info.mirror))}`, ...alignColumns(rows, [2, 3])];
}
