import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Commits without end, small ones and some that spill; a line for each hundred. */
const database = new DatabaseSync(process.argv[2] as string, { timeout: 5000 });
database.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 20');
const insert = database.prepare('INSERT INTO t(k, v) VALUES (abs(random() % 1000000), randomblob(?))');
for (let n = 1; ; n++) {
  insert.run(n % 50 === 0 ? 300_000 : n % 200);
  if (n % 100 === 0) writeSync(1, `${n}\n`);
}
