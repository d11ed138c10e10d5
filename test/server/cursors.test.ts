import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CursorEntry } from '../../src/server/sql.ts';
import { outcome, rows, run, serve, step, until } from '../support/streams/served-streams.ts';

const schema = `create table t(a integer primary key, b);
  insert into t with recursive n(x) as (values (1) union all select x + 1 from n where x < 5000) select x, x * 2 from n`;

const kinds = (entries: readonly CursorEntry[]) => entries.map(({ kind }) => kind).join(' ');

test('a cursor hands out what its steps give, in order', async (t) => {
  const stream = serve(t, { schema }).streams.openStream('write');
  const ok = { kind: 'ok', step: 1 } as const;
  const entries = await Array.fromAsync(
    stream.cursor([
      step('select a, b from t where a <= ?', [2n]),
      step('select nothing'),
      step('select 1', [], ok),
      step('select 2 as x', [], { kind: 'not', condition: ok }),
    ]),
  );
  assert.equal(kinds(entries), 'step-begin row row step-end step-error step-begin row step-end');
  assert.deepEqual(entries[0], {
    ...{ kind: 'step-begin', step: 0 },
    columns: [
      { name: 'a', declaredType: 'INTEGER' },
      { name: 'b', declaredType: null },
    ],
  });
  assert.deepEqual(entries[2], { kind: 'row', row: [2n, 4n] });
  assert.deepEqual(entries[5], { kind: 'step-begin', step: 3, columns: [{ name: 'x', declaredType: null }] });
});

test('a cursor that writes', async (t) => {
  const { streams, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  const steps = [step('begin'), step('delete from t where a > 3 returning a'), step('select a from t'), step('commit')];
  const entries = await Array.fromAsync(stream.cursor(steps));
  assert.equal(entries.filter(({ kind }) => kind === 'row').length, 5_000);
  const ends = entries.flatMap((entry) => (entry.kind === 'step-end' ? [entry.affectedRows] : []));
  assert.deepEqual(ends, [0n, 4_997n, 0n, 0n]);
  assert.equal(file.value('select count(*) from t'), 3);
  assert.equal(stream.isAutocommit, true);
});

test('rows beyond memory: what is not asked for is not read', async (t) => {
  const { streams } = serve(t, { schema });
  const endless = 'with recursive n(x) as (values (1) union all select x + 1 from n) select x, zeroblob(10000) from n';
  const stream = streams.openStream('read');
  let count = 0;
  for await (const entry of stream.cursor([step(endless)])) {
    if (entry.kind === 'row') count++;
    if (count === 20_000) break;
  }
  assert.equal(count, 20_000);
  assert.deepEqual(await rows(stream, 'select count(*) from t'), [[5_000n]]);
});

test('a cursor sees one state, however much is written meanwhile, and holds up nobody', async (t) => {
  const { streams } = serve(t, { schema, settings: { readersMax: 1 } });
  const [slow, other] = [streams.openStream('read'), streams.openStream('write')];
  let seen = 0;
  for await (const entry of slow.cursor([step('select a, zeroblob(1000) from t order by a')])) {
    if (entry.kind !== 'row') continue;
    if (seen++ % 1_000 === 0) {
      await run(other, 'delete from t where a > 4900 - ?', [BigInt(seen)]);
      await run(other, 'insert into t values (?, 0)', [BigInt(1_000_000 + seen)]);
      assert.ok(Number((await rows(other, 'select max(a) from t'))[0]?.[0]) > 1_000_000);
    }
  }
  assert.equal(seen, 5_000);
});

test('in a transaction a cursor sees its changes, and leaves it open', async (t) => {
  const { streams, file } = serve(t, { schema });
  const stream = streams.openStream('write');
  await run(stream, 'begin immediate');
  await run(stream, 'delete from t where a > 2');
  for await (const entry of stream.cursor([step('select a from t')])) if (entry.kind === 'row') break;
  assert.equal(stream.isAutocommit, false);
  assert.equal(kinds(await Array.fromAsync(stream.cursor([step('select a from t')]))), 'step-begin row row step-end');
  await run(stream, 'commit');
  assert.equal(file.value('select count(*) from t'), 2);
});

test('a cursor that is left alone is ended, and says so when it is asked again', async (t) => {
  const { streams } = serve(t, { schema, settings: { readIdleMsMax: 300 } });
  const stream = streams.openStream('read');
  const cursor = stream.cursor([step('select a, zeroblob(10000) from t')])[Symbol.asyncIterator]();
  await cursor.next();
  await until(() => !(stream as unknown as { hasIdleCursor: boolean }).hasIdleCursor, 'the cursor ends');
  const rest: CursorEntry[] = [];
  for (let next = await cursor.next(); !next.done; next = await cursor.next()) rest.push(next.value);
  assert.ok(rest.length < 5_000);
  assert.deepEqual(rest.at(-1), {
    kind: 'error',
    error: { code: 'TRANSACTION_TIMEOUT', message: 'Transaction timed out' },
  });
  assert.equal((await outcome(stream, 'select 1')).kind, 'result');
});

test('a cursor whose process ends says so, and is not taken for complete', async (t) => {
  const { streams } = serve(t, { schema });
  for (const end of ['paused', 'closed'] as const) {
    const stream = streams.openStream('read');
    let seen = 0;
    const reading = (async () => {
      for await (const entry of stream.cursor([step('select a, zeroblob(1000) from t')])) {
        if (entry.kind === 'row' && seen++ === 10) {
          if (end === 'closed') await stream[Symbol.asyncDispose]();
          else await streams.pause().then(() => streams.resume());
        }
      }
    })();
    await assert.rejects(reading, { code: 'STREAM_EXPIRED' });
    assert.ok(seen < 5_000);
  }
});

test('values of a later step are those that were given, whatever is asked in between', async (t) => {
  const { streams } = serve(t, { schema, settings: { readersMax: 1 } });
  const blob = new Uint8Array(40_000).fill(0x41);
  const steps = [step('select a, zeroblob(1000) from t'), step('select cast(? as text)', [blob])];
  let last: CursorEntry | null = null;
  for await (const entry of streams.openStream('read').cursor(steps)) {
    if (entry.kind !== 'row') continue;
    last = entry;
    if (Number(entry.row[0]) % 1_000 === 0)
      await rows(streams.openStream('read'), 'select length(?)', ['z'.repeat(250_000)]);
  }
  assert.equal(last?.kind === 'row' && last.row[0] === 'A'.repeat(40_000), true);
});

test('blobs and texts of 100 MB both ways', async (t) => {
  const { streams, file } = serve(t, { schema: 'create table b(x)' });
  const stream = streams.openStream('write');
  const blob = new Uint8Array(100_000_000);
  for (let at = 0; at < blob.length; at += 9_999) blob[at] = at % 251;
  await run(stream, 'insert into b values (?)', [blob]);
  assert.equal(file.value('select length(x) from b'), blob.length);
  const [row] = await rows(stream, 'select x, length(x) from b');
  assert.ok(Buffer.from(row?.[0] as Uint8Array).equals(blob));
  const text = 'é'.repeat(25_000_000);
  const [texts] = await rows(stream, 'select ?, length(?1)', [text]);
  assert.equal(texts?.[1], 25_000_000n);
  assert.ok(texts?.[0] === text);
});

test('an answer that is too large is refused, and the executor lives on', async (t) => {
  const { streams } = serve(t, { schema });
  const stream = streams.openStream('read');
  const answer = await outcome(stream, 'select zeroblob(10000000) from t limit 30');
  assert.equal(answer.kind === 'error' && answer.error.code, 'RESPONSE_TOO_LARGE');
  assert.deepEqual(await rows(stream, 'select 1'), [[1n]]);
  const batch = await stream.batch(Array.from({ length: 4 }, () => step('select zeroblob(100000000)')));
  assert.deepEqual(
    batch.map((each) => (each.kind === 'error' ? each.error.code : each.kind)),
    ['result', 'result', 'RESPONSE_TOO_LARGE', 'RESPONSE_TOO_LARGE'],
  );
  const written = await outcome(
    streams.openStream('write'),
    'update t set b = 7 where a <= 30 returning zeroblob(10000000)',
  );
  assert.match(written.kind === 'error' ? written.error.message : '', /was changed/);
  assert.deepEqual(await rows(stream, 'select count(*) from t where b = 7'), [[30n]]);
});
