import type { Lsn } from './lsn.ts';

/**
 * Up to where a mirror's table holds the source's changes, and which history that number belongs to. Made by the source,
 * kept by the mirror beside the rows, given back unchanged. Only the source that made it can judge it.
 */
export type SourcePosition = {
  /** Every change below is in the mirror's table. */
  readonly lsn: Lsn;
  /** The source's own words for the exact set of changes that are in (PostgreSQL: a snapshot). Opaque to all others. */
  readonly token: string;
  /** Identity of the history: server, database and the id made with the change tracking. */
  readonly lineage: string;
  /** The last random id that a cycle left in the source and that this position includes; null before the first. */
  readonly bookmark: string | null;
  /**
   * What the source finds in its history again when it is given nothing but the LSN: see `BarePosition`. Mirrors that
   * keep the whole position need not keep it.
   */
  readonly witness?: string | undefined;
};

/** One position for each lineage and bookmark among them: enough to tell whose mirror it is. */
export const distinctHistories = (positions: readonly SourcePosition[]): readonly SourcePosition[] => [
  ...new Map(positions.map((position) => [`${position.lineage} ${position.bookmark}`, position])).values(),
];

/** What the source says of a position that a mirror holds. */
export type Verdict =
  | { readonly kind: 'continue' }
  /** The table must be copied again, and the reason for people. */
  | { readonly kind: 'repopulate'; readonly reason: RepopulateReason; readonly explanation: string }
  /** The mirror belongs to another source. Nothing may be touched unless it is expressly taken over. */
  | { readonly kind: 'foreign'; readonly explanation: string };

export type RepopulateReason =
  /** The mirror holds no position: new table, thrown-away mirror, LSN set to -1, or a resync that was asked for. */
  | 'no-position'
  /** Older than what change tracking still keeps. */
  | 'retention'
  /** Ahead of the source: it was restored to an earlier time. */
  | 'ahead'
  /** The source no longer knows the bookmark, or its timeline forked: history was lost. */
  | 'history-lost'
  /** Another server or file that knows the bookmark: a dump moved to a new home. */
  | 'moved'
  /** Change tracking of the table was off, or made anew, since. */
  | 'tracking-was-off'
  /** A mirror of another source that is expressly taken over. */
  | 'taken-over'
  /** No key: the table is copied whole whenever it changed. */
  | 'no-key'
  /** Somebody wants it copied again. */
  | 'asked-for';
