import { SpeilError } from '../core/error.ts';
import type { RowCounts } from '../core/row-batch.ts';
import { TableName } from '../core/table.ts';
import type {
  AuthenticateAnswer,
  MirrorClientService,
  RowBatch,
  RowDataAnswer,
  RowDataRequest,
  RowDataResult,
  TableSchemaAnswer,
  TableSchemaRequest,
} from './contract.ts';

/** Characters of what a client wants to have back with every call. */
const CLIENT_STATE_MAX = 100_000;
/** Rows of a call: more than any table has, and few enough that the sums of a cycle are exact. */
const COUNT_MAX = 1e12;

/**
 * The same client, but an answer that does not fit its request is thrown as `CONTRACT_BROKEN`: a table that is missing
 * from an answer, or that nobody asked about, must not pass for one that is done.
 */
export const withCheckedAnswers = (client: MirrorClientService): MirrorClientService => ({
  authenticate: async (request) => checkedAuthentication(await client.authenticate(request)),
  tableSchema: async (request) => checkedSchemas(request, await client.tableSchema(request)),
  wipe: (request) => client.wipe(request),
  prepareRowData: async (request) => client.prepareRowData?.(request),
  rowData: async (request) => checkedRows(request, await client.rowData(request)),
  replicationCompleted: (request) => client.replicationCompleted(request),
});

function checkedAuthentication(answer: AuthenticateAnswer): AuthenticateAnswer {
  if (answer.clientState.length <= CLIENT_STATE_MAX) return answer;
  throw broken(`its state has ${answer.clientState.length} characters, and ${CLIENT_STATE_MAX} are taken`);
}

function checkedSchemas(request: TableSchemaRequest, answer: TableSchemaAnswer): TableSchemaAnswer {
  const asked = request.tables.map(({ table }) => TableName.toText(table));
  checkNames(asked, answer.tables);
  const stay = new Set([...asked, ...request.leaveAlone.map(TableName.toText)]);
  const lost = answer.dropped.map(TableName.toText).find((name) => stay.has(name));
  if (lost !== undefined) throw broken(`it dropped ${lost}, which was to stay`);
  return answer;
}

function checkedRows({ batches }: RowDataRequest, answer: RowDataAnswer): RowDataAnswer {
  const byTable = Map.groupBy(batches, ({ table }) => TableName.toText(table));
  checkNames([...byTable.keys()], answer.tables);
  for (const result of answer.tables) checkResult(result, byTable.get(TableName.toText(result.table)) ?? []);
  return answer;
}

function checkResult({ table, counts, lsn, error }: RowDataResult, batches: readonly RowBatch[]): void {
  if (error !== null) return;
  if (!isCounted(counts)) throw broken(`of ${TableName.toText(table)} it counts rows that cannot be`);
  const phase = batches.at(-1)?.phase;
  const position = phase?.kind === 'changes' ? phase.position : null;
  if (position === null || lsn === position.lsn) return;
  throw broken(`${TableName.toText(table)} was to be at ${position.lsn}, and it says ${lsn ?? 'nothing'}`);
}

const isCounted = ({ inserted, updated, deleted }: RowCounts): boolean =>
  [inserted, updated, deleted].every((count) => Number.isInteger(count) && count >= 0 && count <= COUNT_MAX);

function checkNames(asked: readonly string[], answered: readonly { readonly table: TableName }[]): void {
  const names = answered.map(({ table }) => TableName.toText(table));
  const [wanted, given] = [new Set(asked), new Set(names)];
  const missing = asked.find((name) => !given.has(name));
  if (missing !== undefined) throw broken(`it says nothing of ${missing}`);
  const extra = names.find((name) => !wanted.has(name));
  if (extra !== undefined) throw broken(`it speaks of ${extra}, which it was not asked about`);
  if (names.length > given.size) throw broken('it speaks twice of a table');
}

const broken = (why: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the answer of the mirror client does not fit the call: ${why}`, {
    hint: 'Its version may be another one. What it says of itself: speil client validate.',
  });
