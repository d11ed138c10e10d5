import { writeSync } from 'node:fs';
import { Lsn } from '../../src/core/lsn.ts';
import { Term } from '../../src/core/term.ts';
import { openJournal } from '../../src/journal/open-journal.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { payloadOf } from './journal-payload.ts';

/** Appends and hardens until it is killed. Each line on stdout is an LSN that was acknowledged. */
const { folder, segmentBytes } = JSON.parse(process.argv[2] ?? '') as { folder: string; segmentBytes: number };

const { journal } = await openJournal({ disk: systemDisk, folder, segmentBytes });

async function append(lsn: number): Promise<void> {
  const parts = lsn % 9 === 0 ? 3 : 1;
  for (let part = 1; part <= parts; part += 1) {
    await journal.append({
      ...{ term: Term.first, first: Lsn.of(lsn), last: Lsn.of(lsn), continued: part < parts },
      ...{ databaseChecksum: BigInt(lsn), sealedAtMs: lsn, payload: payloadOf(lsn, part) },
    });
  }
}

for (let lsn = Number(journal.appended.lsn) + 1; ; ) {
  for (const end = lsn + (lsn % 4); lsn <= end; lsn += 1) await append(lsn);
  const { lsn: hardened } = await journal.harden();
  writeSync(1, `${hardened}\n`);
  if (hardened % 64n === 0n) {
    await journal.hold('child', Lsn.of(hardened - 40n));
    await journal.trim();
  }
}
