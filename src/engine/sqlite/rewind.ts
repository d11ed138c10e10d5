import type { DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';
import { PageChanges } from './page-changes.ts';

/** Pages `first` to `last`, both included. */
export type PageSpan = { readonly first: number; readonly last: number };

/** Which pages to fetch so that a database forgets its divergent blocks. */
export type RewindPlan = {
  readonly pageSize: number;
  /** Pages of the database after the last common block. */
  readonly pageCount: number;
  /** The pages of the common state that divergent blocks changed or dropped; ascending, apart from each other. */
  readonly spans: readonly PageSpan[];
};

/** A page as the principal has it; null when it has none of that number. */
export type FetchedPage = { readonly page: number; readonly image: Uint8Array | null };

/**
 * Reads what the divergent blocks touched, oldest first, from the first after the last common one on. Null when there are none, and
 * when they changed the page size: then only a new copy helps.
 */
export function planRewind(payloads: Iterable<Uint8Array>): RewindPlan | null {
  const touched = new Set<number>();
  const changes = new PageChanges();
  let common: { pageSize: number; pageCount: number } | null = null;
  let fewest = Number.POSITIVE_INFINITY;
  for (const payload of payloads) {
    const { counts, pages, pageTotal } = changes.read(payload);
    common ??= { pageSize: counts.pageSize, pageCount: counts.before };
    if (counts.pageSize !== common.pageSize) return null;
    fewest = Math.min(fewest, counts.after);
    for (let index = 0; index < pageTotal; index++) touched.add(pages[index] as number);
  }
  return common === null ? null : { ...common, spans: spansOf(touched, common.pageCount, fewest) };
}

function spansOf(touched: ReadonlySet<number>, pageCount: number, fewest: number): PageSpan[] {
  const pages = [...touched].filter((page) => page <= Math.min(pageCount, fewest)).sort((a, b) => a - b);
  const spans: PageSpan[] = [];
  for (const page of pages) append(spans, { first: page, last: page });
  if (fewest < pageCount) append(spans, { first: fewest + 1, last: pageCount });
  return spans;
}

function append(spans: PageSpan[], { first, last }: PageSpan): void {
  const before = spans.at(-1);
  if (before !== undefined && before.last + 1 === first) spans[spans.length - 1] = { first: before.first, last };
  else spans.push({ first, last });
}

/**
 * Puts the pages of the plan back. Each image may be as the principal had it after any commit from the last common one on; the file
 * is whole once the principal's blocks after its last checkpoint were redone, up to the one after which the last image was taken.
 *
 * Throws `PAYLOAD_REFUSED` when the images are not those of the plan, in its order. Nothing is synced.
 */
export async function rewind(file: DiskFile, plan: RewindPlan, images: AsyncIterable<FetchedPage>): Promise<void> {
  const expected = pagesOf(plan.spans);
  await file.truncate(plan.pageCount * plan.pageSize);
  for await (const { page, image } of images) {
    const next = expected.next();
    if (next.done === true || next.value !== page) throw refused(`page ${page} came in the place of ${next.value}`);
    if (image === null) continue;
    if (image.length !== plan.pageSize) throw refused(`page ${page} has ${image.length} bytes, not ${plan.pageSize}`);
    await file.write([image], (page - 1) * plan.pageSize);
  }
  const missing = expected.next();
  if (missing.done !== true) throw refused(`page ${missing.value} did not come`);
}

function* pagesOf(spans: readonly PageSpan[]): Generator<number, undefined> {
  for (const { first, last } of spans) for (let page = first; page <= last; page++) yield page;
}

const refused = (why: string): SpeilError =>
  new SpeilError('PAYLOAD_REFUSED', `The pages that were fetched are not those that were asked for: ${why}.`, {
    recovery: 'retry',
    hint: 'Nothing to do: they are fetched again. If it goes on, copy the database anew.',
  });
