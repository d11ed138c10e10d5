import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocatePageBuffer } from './page-buffer.ts';
import { PageChanges, PageChangesWriter } from './page-changes.ts';

type Range = { readonly start: number; readonly bytes: readonly number[] };
type Page = { readonly page: number; readonly ranges: readonly Range[] };

function encode(pageSize: number, before: number, after: number, pages: readonly Page[]): Uint8Array {
  const writer = new PageChangesWriter();
  writer.begin({ pageSize, before, after });
  for (const { page, ranges } of pages) {
    const image = allocatePageBuffer(pageSize);
    for (const { start, bytes } of ranges) image.bytes.set(bytes, start);
    const ends = ranges.flatMap(({ start, bytes }) => [start, start + bytes.length]);
    writer.add(page, image, 0, Uint32Array.from(ends), ranges.length);
  }
  return writer.finish();
}

function decode(payload: Uint8Array, changes = new PageChanges()): { readonly pages: Page[] } & PageChanges['counts'] {
  changes.read(payload);
  const pages = Array.from({ length: changes.pageTotal }, (_, index) => {
    const [first, end] = [changes.firstRange[index] as number, changes.firstRange[index + 1] as number];
    const ranges = Array.from({ length: end - first }, (_, n) => {
      const [start, length, at] = changes.ranges.subarray(3 * (first + n)) as unknown as [number, number, number];
      return { start, bytes: [...changes.bytes.subarray(at, at + length)] };
    });
    return { page: changes.pages[index] as number, ranges };
  });
  return { ...changes.counts, pages };
}

const refuses = (bytes: readonly number[], why: RegExp): void =>
  assert.throws(() => new PageChanges().read(Uint8Array.from(bytes)), { code: 'PAYLOAD_REFUSED', message: why });

test('golden bytes', () => {
  const payload = encode(4096, 200, 300, [
    {
      page: 1,
      ranges: [
        { start: 24, bytes: [0, 0, 0, 9] },
        { start: 92, bytes: [9] },
      ],
    },
    { page: 299, ranges: [{ start: 4095, bytes: [255] }] },
  ]);
  assert.equal(
    Buffer.from(payload).toString('hex'),
    [
      '01',
      '0c',
      'c801',
      'ac02',
      ['01', '02', '18', '04', '00000009', '40', '01', '09'],
      ['aa02', '01', 'ff1f', '01', 'ff'],
    ]
      .flat()
      .join(''),
  );
});

const page = (pageSize: number): fc.Arbitrary<Range[]> =>
  fc
    .array(fc.tuple(fc.integer({ min: 1, max: 200 }), fc.uint8Array({ minLength: 1, maxLength: 90 })), { minLength: 1 })
    .map((parts) => {
      let end = 0;
      return parts.flatMap(([distance, bytes]) => {
        const start = end + distance;
        end = start + bytes.length;
        return end <= pageSize ? [{ start, bytes: [...bytes] }] : [];
      });
    })
    .filter((ranges) => ranges.length > 0);

const payload = fc.integer({ min: 9, max: 16 }).chain((exponent) =>
  fc.record({
    pageSize: fc.constant(2 ** exponent),
    before: fc.nat(0xffffffff),
    pages: fc
      .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 5_000_000 }), page(2 ** exponent)), { selector: ([n]) => n })
      .map((pages) =>
        pages
          .filter(([n]) => n !== 2 ** 30 / 2 ** exponent + 1)
          .sort(([a], [b]) => a - b)
          .map(([page, ranges]) => ({ page, ranges })),
      ),
  }),
);

test('what was written is read, also by a reader that is used again', () => {
  const reader = new PageChanges();
  fc.assert(
    fc.property(payload, ({ pageSize, before, pages }) => {
      const read = decode(encode(pageSize, before, 6_000_000, pages), reader);
      const written = { pageSize, before, after: 6_000_000, pages };
      const longest = Math.max(0, ...pages.map(({ ranges }) => ranges.length));
      if (longest < 100) assert.deepEqual(read, written);
    }),
  );
});

test('a page of many small ranges is written as a whole', () => {
  const ranges = Array.from({ length: 128 }, (_, n) => ({ start: 4 * n, bytes: [n + 1, 7] }));
  const { pages } = decode(encode(512, 1, 1, [{ page: 1, ranges }]));
  assert.equal(pages[0]?.ranges.length, 1);
  assert.equal(pages[0]?.ranges[0]?.bytes.length, 512);
  assert.equal(pages[0]?.ranges[0]?.bytes[508], 128);
});

test('damage is refused, and nothing is read beyond the end', () => {
  const head = [1, 9, 1, 3];
  refuses([], /version -1/);
  refuses([2, 9, 1, 3], /version 2 is not 1/);
  refuses([1, 8, 1, 3], /page size of 2\^8/);
  refuses([1, 17, 1, 3], /page size of 2\^17/);
  refuses([1, 60, 1, 3], /page size of 2\^60/);
  refuses([1, 9, 1], /page counts/);
  refuses([...head, 0], /does not ascend/);
  refuses([...head, 0x80], /cannot be read/);
  refuses([...head, 4], /page 4 lies beyond the 3 pages/);
  refuses([...head, 1], /page 1 has no ranges/);
  refuses([...head, 1, 0], /page 1 has no ranges/);
  refuses([...head, 1, 1, 0], /a range that cannot be read/);
  refuses([...head, 1, 1, 0, 0], /a range that cannot be read/);
  refuses([...head, 1, 2, 0, 1, 7, 0, 1, 7], /a range that cannot be read/);
  refuses([...head, 1, 1, 0xff, 3, 2, 7, 7], /up to byte 513 of 512/);
  refuses([...head, 1, 1, 0xff, 0xff, 0xff, 0xff, 15, 1, 7], /up to byte/);
  refuses([...head, 1, 1, 0, 3, 7, 7], /ends within page 1/);
  refuses([1, 16, 1, 0xff, 0xff, 3, 0x81, 0x80, 1, 1, 0, 1, 7], /page 16385 is the lock page/);
});

test('any bytes are read or refused', () => {
  const head = fc.constantFrom([], [1, 9, 5, 6], [1, 12, 1, 0x80, 1]);
  fc.assert(
    fc.property(head, fc.array(fc.oneof(fc.nat(5), fc.nat(255)), { maxLength: 60 }), (head, tail) => {
      try {
        decode(Uint8Array.from([...head, ...tail]));
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'PAYLOAD_REFUSED');
      }
    }),
    { numRuns: 2000 },
  );
});
