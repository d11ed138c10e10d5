import type { DatabaseChecksum } from './database-checksum.ts';
import { allocatePageBuffer, copyPage, type PageBuffer } from './page-buffer.ts';
import { PageChangesWriter, type PageCounts } from './page-changes.ts';
import { diffPage, rangesFor } from './page-diff.ts';
import type { PageImages } from './page-images.ts';

/** Turns new images of pages into a payload and the checksum after it, by what the pages were before. */
export class ChangeCollector {
  readonly #images: PageImages;
  readonly #pageSize: number;
  readonly #ranges: Uint32Array;
  readonly #writer = new PageChangesWriter();
  #spare: PageBuffer | null = null;
  #before = 0;
  #checksum: DatabaseChecksum | null = null;

  constructor(images: PageImages, pageSize: number) {
    this.#images = images;
    this.#pageSize = pageSize;
    this.#ranges = rangesFor(pageSize);
  }

  /** Begins a payload. `checksum`, where given, goes along with every page from now on. */
  begin(counts: PageCounts, checksum: DatabaseChecksum): void {
    this.#before = counts.before;
    this.#checksum = checksum;
    this.#writer.begin(counts);
  }

  /** Begins the next payload of the same commit: in the first, the page count has changed. */
  goOn({ pageSize, after }: PageCounts): void {
    this.#writer.begin({ pageSize, before: after, after });
  }

  mayExceed(lengthMax: number): boolean {
    return this.#writer.mayExceed(lengthMax);
  }

  /** The page's new image begins at byte `at` of `image`. Pages ascend. */
  add(page: number, image: PageBuffer, at: number): void {
    const before = this.#images.buffer;
    const beforeAt = page > this.#before ? this.#images.zeros(page) : this.#images.find(page);
    const count = diffPage(before.words, beforeAt >> 2, image.words, at >> 2, this.#pageSize >> 2, this.#ranges);
    if (count === 0) return;
    for (let n = 0; n < count; n++) {
      const from = (this.#ranges[2 * n] as number) >> 2;
      const to = ((this.#ranges[2 * n + 1] as number) + 3) >> 2;
      this.#checksum?.subtract(page, before, beforeAt, from, to);
      this.#checksum?.add(page, image, at, from, to);
    }
    this.#writer.add(page, image, at, this.#ranges, count);
  }

  /** A page that came to be within the database without having been written: it is what was there before. */
  addUnwritten(page: number): void {
    this.#spare ??= allocatePageBuffer(this.#pageSize);
    this.#images.forget(page);
    copyPage(this.#images.buffer, this.#images.find(page), this.#spare, 0, this.#pageSize);
    this.add(page, this.#spare, 0);
  }

  /** A page that is no longer in the database. */
  drop(page: number): void {
    this.#checksum?.subtract(page, this.#images.buffer, this.#images.find(page), 0, this.#pageSize >> 2);
  }

  finish(): Uint8Array {
    return this.#writer.finish();
  }
}
