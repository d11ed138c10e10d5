import { lockPageOf } from './database-header.ts';
import type { PageCounts } from './page-changes.ts';
import type { PageMap } from './page-map.ts';

/** In the place of a frame: the page was added to the database, and no frame says what is in it. */
export const UNWRITTEN = 0xffffffff;

/**
 * The pages that commits changed, ascending, given the newest frame of each page that they wrote. Without those beyond the
 * new end; with those that were added and not written, which SQLite would read as whatever lies there.
 */
export function changedPages(group: PageMap, counts: PageCounts): Uint32Array {
  const lockPage = lockPageOf(counts.pageSize);
  for (let page = counts.before + 1; page <= counts.after; page++)
    if (page !== lockPage && group.get(page) === 0) group.set(page, UNWRITTEN);
  const pages = group.pages();
  let count = pages.length;
  while (count > 0 && (pages[count - 1] as number) > counts.after) count--;
  return pages.subarray(0, count);
}
