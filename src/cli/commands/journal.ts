import { type Command, InvalidArgumentError } from 'commander';
import { errorReport, SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { Finding } from '../../journal/inspect-journal.ts';
import type { DatabaseCheck, DumpedBlock } from '../../journal-tools.ts';
import { groupOf } from '../center-shell.ts';
import { EXIT_DONE, EXIT_FAILED } from '../exit-code.ts';
import { formatBytes, formatCount, plural } from '../format.ts';
import { inWords, type Output } from '../output.ts';
import { attempt, examples, newCommand, type Shell, withJson } from '../shell.ts';
import { showTransfer } from '../transfer-view.ts';

type DataFlags = { readonly data: string; readonly json?: boolean };

export const journalCommand = (shell: Shell): Command =>
  examples(
    groupOf('journal', 'Look into the journals of a server that does not run.', [
      checkCommand(shell),
      dumpCommand(shell),
    ]),
    [
      ['speil journal check --data a/', 'every block and every page of every database'],
      ['speil journal dump --data a/ shop --from 1000', 'what happened from commit 1000 on'],
    ],
  );

const offline = (name: string, description: string): Command =>
  withJson(newCommand(name, description)).requiredOption('--data <folder>', "the server's data folder");

function checkCommand(shell: Shell): Command {
  const command = offline('check', 'Check the chain of blocks, their checksums, and the file against the journal.')
    .argument('[database]', 'one of them (default: all)')
    .action((name: string | undefined, flags: DataFlags) =>
      attempt(shell, flags, async (output) => {
        const { checkDatabases } = await import('../../journal-tools.ts');
        await using view = showTransfer(shell, output, 'checking');
        let comparing: string | null = null;
        const onProgress = (at: string, done: number, total: number) => {
          if (at !== comparing) view.step(`comparing ${at}`);
          comparing = at;
          view.progress(done, total);
        };
        let isWell = true;
        for await (const { name: each, check } of checkDatabases({ data: flags.data, name, onProgress })) {
          view.above(() => {
            const found = check instanceof SpeilError ? showFailure(output, each, check) : show(output, each, check);
            isWell &&= found;
          });
        }
        return isWell ? EXIT_DONE : EXIT_FAILED;
      }),
    );
  return examples(
    command,
    [['speil journal check --data a/ shop', 'one database']],
    'It changes nothing. What a crash has left is no damage: the next start takes care of it. A database that did not end in\norder is compared as it will be after recovery, on a copy in the data folder. Exit codes: 0 all is well; 1 damage.',
  );
}

function showFailure(output: Output, name: string, error: SpeilError): false {
  output.event({ event: 'check', database: name, well: false, error: errorReport(error) });
  output.complain('error', `${name}: ${inWords(errorReport(error))}`, error.hint);
  return false;
}

/** True when there is no damage. */
function show(output: Output, name: string, check: DatabaseCheck): boolean {
  const { lineage, segments, blocks, bytes, first, last, findings, file } = check;
  const well = file.result === 'equal' && findings.every(({ kind }) => kind !== 'damage');
  output.event({
    ...{ event: 'check', database: name, well, lineage, segments, blocks, bytes },
    ...{ first: first?.toString() ?? null, last: last?.lsn.toString() ?? null },
    findings: findings.map((finding) => ({ ...finding, afterLsn: finding.afterLsn.toString() })),
    file: file.result === 'not-compared' ? file : { ...file, lsn: file.lsn.toString(), redone: Number(file.redone) },
  });
  const span = first === null ? 'no commits' : `commits ${first} to ${last?.lsn ?? '…'}`;
  const journal = `${plural(blocks, 'block')} in ${plural(segments, 'segment')}, ${formatBytes(bytes)}, ${span}`;
  output.result([
    `${name}: ${well ? 'all is well' : 'DAMAGED'}`,
    `  journal: ${journal}`,
    `  file: ${fileInWords(file)}`,
  ]);
  for (const finding of findings) output.result([`  ${findingInWords(finding)}`]);
  if (!well)
    output.complain('error', `${name} is damaged.`, 'Bring it back: speil restore <backup> --data <folder> <name>');
  return well;
}

function fileInWords(file: DatabaseCheck['file']): string {
  if (file.result === 'not-compared') return 'not compared, since the journal is damaged';
  const redone =
    file.redone === 0n ? '' : `, after ${plural(Number(file.redone), 'commit')} that the next start will redo`;
  return file.result === 'equal'
    ? `equal to the journal at LSN ${file.lsn}${redone}`
    : `NOT what the journal says it is at LSN ${file.lsn}${redone}: something else has written to it, or the disk has lost some of it`;
}

const KINDS = { damage: 'damage', 'torn-tail': 'torn tail', notice: 'notice' } as const;

const findingInWords = ({ kind, file, offset, afterLsn, what }: Finding): string =>
  `${KINDS[kind]}: ${what} (${file}, byte ${formatCount(offset)}, after LSN ${afterLsn})`;

type DumpFlags = DataFlags & { readonly from?: Lsn };

function dumpCommand(shell: Shell): Command {
  const command = offline('dump', 'Show what each block of a journal holds: commits, sizes, pages.')
    .argument('<database>')
    .option('--from <lsn>', 'begin with the block that holds this commit (default: the oldest there is)', parseLsn)
    .action((name: string, flags: DumpFlags) =>
      attempt(shell, flags, async (output) => {
        const { dumpJournal } = await import('../../journal-tools.ts');
        const { signal } = shell.environment;
        for await (const found of dumpJournal({ data: flags.data, name, from: flags.from })) {
          signal.throwIfAborted();
          if (found.kind === 'block') showBlock(output, found);
          else showFinding(output, found);
        }
        return EXIT_DONE;
      }),
    );
  return examples(command, [
    ['speil journal dump --data a/ shop', 'everything that is still there'],
    ['speil journal dump --data a/ shop --from 1000 --json | jq .pages', 'for programs'],
  ]);
}

function parseLsn(text: string): Lsn {
  if (/^\d{1,20}$/.test(text)) return Lsn.of(text);
  throw new InvalidArgumentError('Write the number of a commit, as in 1000.');
}

function showFinding(output: Output, finding: Finding): void {
  output.event({ event: 'finding', ...finding, afterLsn: finding.afterLsn.toString() });
  output.result([findingInWords(finding)]);
}

function showBlock(output: Output, { block, file, offset, bytes, changes }: DumpedBlock): void {
  const { first, last, continued, term, sealedAtMs } = block;
  const sealedAt = new Date(sealedAtMs).toISOString();
  output.event({
    ...{ event: 'block', first: first.toString(), last: last.toString(), continued, term: term.toString(), sealedAt },
    ...{ file, offset, bytes, hash: Buffer.from(block.hash).toString('hex') },
    ...(changes ?? { pages: null }),
  });
  const commits = first === last ? `commit ${first}` : `commits ${first} to ${last}`;
  const what =
    changes === null
      ? 'its payload cannot be read'
      : `${formatBytes(changes.bytes)} in ${plural(changes.pages.length, 'page')} of ${formatCount(changes.pageCount)}: ${spansOf(changes.pages)}`;
  output.result([`${sealedAt}  ${commits}${continued ? ', goes on' : ''}  ${formatBytes(bytes)}  ${what}`]);
}

/** Runs of pages that one line holds. */
const SPANS_SHOWN = 12;

/** `1 4-7 12`. */
export function spansOf(pages: readonly number[]): string {
  const spans: { first: number; last: number }[] = [];
  for (const page of pages) {
    const open = spans.at(-1);
    if (open !== undefined && open.last === page - 1) open.last = page;
    else spans.push({ first: page, last: page });
  }
  const words = spans.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
  const shown = words.slice(0, SPANS_SHOWN).join(' ');
  return words.length > SPANS_SHOWN ? `${shown} … ${words.at(-1)}` : shown;
}
