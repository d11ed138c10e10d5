import { BarePosition } from '../../core/bare-position.ts';
import { Lsn } from '../../core/lsn.ts';
import type { RepopulateReason, SourcePosition, Verdict } from '../../core/position.ts';
import type { HeldPosition } from '../source-database.ts';
import {
  type Head,
  knowsBookmark,
  readHeads,
  readOldest,
  readTag,
  readTracked,
  type Tracked,
  type Tracking,
} from './change-tracking.ts';
import type { Connection } from './connection.ts';

/** What a position's token says: the tracking it belongs to, the tag of its last change, and the file it was read from. */
export type Token = { readonly tracking: string; readonly tag: string; readonly path: string };

export const lineageOf = (history: string): string => `sqlite:${history}`;

/** Reads a token; one that another kind of source made gives null. */
function parseToken(text: string): Token | null {
  try {
    const { tracking, tag, path } = JSON.parse(text) as Partial<Token>;
    return tracking === undefined || tag === undefined || path === undefined ? null : { tracking, tag, path };
  } catch {
    return null;
  }
}

/**
 * Judges positions. Inside a read transaction. Of a history that is the source's own no more is said as a whole: each
 * table's last change has a random tag, which tells for that table alone whether a restored or cloned file still has it.
 */
export function judgeAll(connection: Connection, held: readonly HeldPosition[], path: string): readonly Verdict[] {
  const tracked = readTracked(connection);
  const heads = readHeads(connection, tracked);
  return held.map(({ table, position }) => {
    const isBare = BarePosition.is(position);
    if (!isBare && (tracked.history === null || position.lineage !== lineageOf(tracked.history))) {
      return judgeOther(connection, position, path);
    }
    if (table === null) return { kind: 'continue' };
    return judgeTable(connection, { tracking: tracked.tables.get(table.name), heads, position });
  });
}

const repopulate = (reason: RepopulateReason, explanation: string): Verdict => ({
  kind: 'repopulate',
  reason,
  explanation,
});

function judgeOther(connection: Connection, position: SourcePosition, path: string): Verdict {
  if (parseToken(position.token)?.path === path) {
    return repopulate(
      'tracking-was-off',
      `change tracking of ${path} was removed, or another file was put in its place`,
    );
  }
  if (position.bookmark !== null && knowsBookmark(connection, position.bookmark)) {
    return repopulate('moved', `the source's data was moved to ${path}`);
  }
  return { kind: 'foreign', explanation: `the mirror holds ${position.lineage}, which ${path} does not know` };
}

type TableRequest = {
  readonly tracking: Tracking | undefined;
  readonly heads: ReadonlyMap<number, Head>;
  readonly position: SourcePosition;
};

/** Judges the position of one table in a history that is the source's. */
export function judgeTable(connection: Connection, { tracking, heads, position }: TableRequest): Verdict {
  const head = tracking && heads.get(tracking.n);
  if (tracking === undefined || head === undefined || !isOfTracking(position, tracking)) {
    return repopulate('tracking-was-off', 'change tracking of the table began anew since the mirror last saw it');
  }
  const { lsn } = position;
  if (lsn > head.lsn)
    return repopulate('ahead', `the mirror is at ${lsn}, the source only at ${head.lsn}: it was restored`);
  const tag = lsn === head.lsn ? head.tag : readTag(connection, tracking, lsn);
  if (hasTag(position, tracking, tag) || (!tracking.keyed && lsn < head.lsn)) return { kind: 'continue' };
  if (tag === null && lsn < readOldest(connection, tracking)) {
    return repopulate('retention', `changes since ${lsn} are no longer kept`);
  }
  return repopulate(
    'history-lost',
    `change ${lsn} of the source is not the one that the mirror saw: it was restored or cloned`,
  );
}

/** A bare position does not say which tracking it belongs to; its witness does, beside the tag. */
const isOfTracking = (position: SourcePosition, tracking: Tracking): boolean =>
  BarePosition.is(position) || parseToken(position.token)?.tracking === tracking.id;

const hasTag = (position: SourcePosition, tracking: Tracking, tag: bigint | null): boolean =>
  BarePosition.is(position)
    ? tag !== null && BarePosition.isWitnessedBy(position, witnessOf(tracking, tag))
    : String(tag) === parseToken(position.token)?.tag;

const witnessOf = (tracking: Tracking, tag: bigint): string => JSON.stringify([tracking.id, String(tag)]);

/** The position of a mirror that has everything up to the newest change. */
export function positionAt(
  tracked: Tracked,
  at: { tracking: Tracking; head: Head; path: string; bookmark: string | null },
): SourcePosition {
  const token: Token = { tracking: at.tracking.id, tag: String(at.head.tag), path: at.path };
  return {
    lsn: Lsn.of(at.head.lsn),
    token: JSON.stringify(token),
    lineage: lineageOf(tracked.history ?? ''),
    bookmark: at.bookmark,
    witness: witnessOf(at.tracking, at.head.tag),
  };
}
