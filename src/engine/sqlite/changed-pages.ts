import { lockPageOf } from './database-header.ts';
import type { PageCounts } from './page-changes.ts';
import type { PageMap } from './page-map.ts';

/**
 * The pages that commits changed, ascending, given the newest frame of each page that they wrote. Without those beyond the
 * new end; with those that were added and not written, which SQLite would read as whatever lies there.
 */
export function changedPages(newest: PageMap, counts: PageCounts): Uint32Array {
  const written = newest.pages();
  const end = countUpTo(written, counts.after);
  const kept = Math.min(end, countUpTo(written, counts.before));
  const added = written.subarray(kept, end);
  const expected = addedPages(counts);
  return added.length === expected ? written.subarray(0, end) : joined(written.subarray(0, kept), counts);
}

/** How many of the ascending pages are not beyond `last`. */
function countUpTo(pages: Uint32Array, last: number): number {
  let [from, to] = [0, pages.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((pages[middle] as number) <= last) from = middle + 1;
    else to = middle;
  }
  return from;
}

function addedPages({ pageSize, before, after }: PageCounts): number {
  const lockPage = lockPageOf(pageSize);
  return Math.max(0, after - before - (lockPage > before && lockPage <= after ? 1 : 0));
}

/** The pages, and all that were added. */
function joined(pages: Uint32Array, counts: PageCounts): Uint32Array {
  const lockPage = lockPageOf(counts.pageSize);
  const all = new Uint32Array(pages.length + addedPages(counts));
  all.set(pages);
  let at = pages.length;
  for (let page = counts.before + 1; page <= counts.after; page++) if (page !== lockPage) all[at++] = page;
  return all;
}
