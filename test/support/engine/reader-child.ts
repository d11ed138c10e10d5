import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** What a reader has seen so far. */
export type Seen = {
  readonly reads: number;
  /** Reads that saw rows of two states, a row too few or too many, or a file that made no sense. */
  readonly torn: number;
  /** The newest state that it saw. */
  readonly newest: number;
};

const READS_PER_LINE = 20;

const path = process.argv[2] as string;
const database = new DatabaseSync(path, { readOnly: true, timeout: 60_000 });
const statement = database.prepare('SELECT min(state) AS least, max(state) AS most, count(*) AS count FROM t');
const { count } = statement.get() as { count: number };

function readsOneState(): number | null {
  try {
    const row = statement.get() as { least: number; most: number; count: number };
    return row.least === row.most && row.count === count ? row.most : null;
  } catch {
    return null;
  }
}

let [torn, newest] = [0, 0];
for (let reads = 0; ; reads++) {
  const state = readsOneState();
  if (state === null) torn++;
  else newest = Math.max(newest, state);
  if (reads % READS_PER_LINE === 0) writeSync(1, `${JSON.stringify({ reads, torn, newest })}\n`);
}
