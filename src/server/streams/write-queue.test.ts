import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type TicketHolder, WriteQueue } from './write-queue.ts';

class Write {
  readonly name: string;
  readonly bytes: number;
  refusal: unknown = null;

  constructor(name: string, bytes = 10) {
    this.name = name;
    this.bytes = bytes;
  }

  refuse(error: unknown): void {
    this.refusal = error;
  }
}

class Holder implements TicketHolder {
  isGranted = false;
  refusal: unknown = null;

  granted(): void {
    this.isGranted = true;
  }

  refuse(error: unknown): void {
    this.refusal = error;
  }
}

/** A queue whose executor answers when it is told to, and whose clock is set by hand. */
class Bench {
  readonly sent: Write[][] = [];
  inFlight = 0;
  nowMs = 0;
  refusal: Error | null = null;
  readonly #soon: (() => void)[] = [];
  readonly queue = new WriteQueue<Write>({
    inFlight: () => this.inFlight,
    send: (group) => {
      this.sent.push([...group]);
      this.inFlight += group.length;
    },
    admit: () => {
      if (this.refusal !== null) throw this.refusal;
    },
    soon: (then) => this.#soon.push(then),
    nowMs: () => this.nowMs,
    overdue: () => new Error('overdue'),
    full: () => new Error('full'),
    waitMsMax: 100,
    lengthMax: 1_000,
  });

  turn(): this {
    for (const then of this.#soon.splice(0)) then();
    return this;
  }

  answer(count = this.inFlight): this {
    this.inFlight -= count;
    this.queue.pump();
    return this.turn();
  }

  names(): string[][] {
    return this.sent.map((group) => group.map(({ name }) => name));
  }
}

const writes = (count: number, bytes = 10) =>
  Array.from({ length: count }, (_, index) => new Write(`w${index}`, bytes));

test('writes that are asked for in one turn go together, in order', () => {
  const bench = new Bench();
  for (const name of ['a', 'b', 'c']) bench.queue.push(new Write(name));
  assert.deepEqual(bench.turn().names(), [['a', 'b', 'c']]);
});

test('a group has bounds: so many programs, so many bytes, a larger one alone', () => {
  const many = new Bench();
  for (const write of writes(300)) many.queue.push(write);
  many.turn();
  assert.equal(many.sent[0]?.length, 128);
  many.answer();
  assert.equal(many.sent[1]?.length, 128);
  const large = new Bench();
  for (const write of [...writes(2, 600_000), new Write('huge', 5_000_000)]) large.queue.push(write);
  for (let turn = 0; turn < 3; turn++) large.turn().answer();
  assert.deepEqual(large.names(), [['w0'], ['w1'], ['huge']]);
});

test('the next group is sent before all of the one before is answered', () => {
  const bench = new Bench();
  for (const write of writes(64)) bench.queue.push(write);
  bench.turn();
  bench.queue.push(new Write('next'));
  assert.equal(bench.turn().sent.length, 1);
  bench.answer(40);
  assert.deepEqual(bench.names().at(-1), ['next']);
});

test('a transaction has the ticket alone, and gives it on in order', () => {
  const bench = new Bench();
  const [first, second] = [new Holder(), new Holder()];
  bench.queue.push(new Write('a'));
  bench.queue.acquire(first);
  bench.queue.push(new Write('b'));
  bench.queue.acquire(second);
  bench.turn();
  assert.deepEqual([bench.names(), first.isGranted], [[['a']], false]);
  bench.answer();
  assert.deepEqual([bench.names(), first.isGranted, second.isGranted], [[['a']], true, false]);
  bench.queue.release(first);
  bench.turn();
  assert.deepEqual([bench.names(), second.isGranted], [[['a'], ['b']], false]);
  bench.answer();
  assert.equal(second.isGranted, true);
});

test('only the holder gives the ticket back', () => {
  const bench = new Bench();
  const holder = new Holder();
  bench.queue.acquire(holder);
  bench.turn();
  bench.queue.push(new Write('a'));
  bench.queue.release(new Holder());
  assert.deepEqual([bench.turn().names(), bench.queue.isHeld], [[], true]);
});

test('who waits too long is told, and nobody else', () => {
  const bench = new Bench();
  const holder = new Holder();
  bench.queue.acquire(holder);
  bench.turn();
  const [early, late] = [new Write('early'), new Write('late')];
  bench.queue.push(early);
  bench.nowMs = 50;
  bench.queue.push(late);
  assert.equal(bench.queue.expire(99), true);
  assert.equal(early.refusal, null);
  assert.equal(bench.queue.expire(100), true);
  assert.match(String(early.refusal), /overdue/);
  assert.equal(late.refusal, null);
  assert.equal(bench.queue.expire(150), false);
  assert.match(String(late.refusal), /overdue/);
  assert.equal(holder.refusal, null);
});

test('what is returned is next, before what came later', () => {
  const bench = new Bench();
  const [a, b] = [new Write('a'), new Write('b')];
  for (const write of [a, b]) bench.queue.push(write);
  bench.turn();
  bench.queue.push(new Write('c'));
  bench.queue.returned([a, b]);
  bench.answer();
  assert.deepEqual(bench.names(), [
    ['a', 'b'],
    ['a', 'b', 'c'],
  ]);
});

test('when no write can be taken, each is told why', () => {
  const bench = new Bench();
  const [write, holder] = [new Write('a'), new Holder()];
  bench.refusal = new Error('disk full');
  bench.queue.push(write);
  bench.queue.acquire(holder);
  bench.turn();
  assert.deepEqual([write.refusal, holder.refusal, bench.queue.isHeld], [bench.refusal, bench.refusal, false]);
});

test('the queue has a bound', () => {
  const bench = new Bench();
  bench.queue.acquire(new Holder());
  bench.turn();
  const all = writes(1_001);
  for (const write of all) bench.queue.push(write);
  assert.deepEqual([all[999]?.refusal, String(all[1_000]?.refusal)], [null, 'Error: full']);
});

test('what was not begun can be taken out', () => {
  const bench = new Bench();
  const [write, holder] = [new Write('a'), new Holder()];
  bench.queue.push(write);
  bench.queue.acquire(holder);
  assert.deepEqual(
    [bench.queue.remove(holder), bench.queue.remove(write), bench.queue.remove(write)],
    [true, true, false],
  );
  assert.deepEqual(bench.turn().names(), []);
});

type Event = 'write' | 'ticket' | 'turn' | 'answer' | 'release';

test('property: nobody writes beside a holder, everybody gets a turn, writes keep their order', () => {
  const event = fc.constantFrom<Event>('write', 'write', 'write', 'ticket', 'turn', 'answer', 'release');
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), (events) => {
      const bench = new Bench();
      const holders: Holder[] = [];
      let asked = 0;
      const current = () => holders.find(({ isGranted }) => isGranted);
      const step = (what: Event) => {
        if (what === 'write') bench.queue.push(new Write(String(asked++)));
        else if (what === 'ticket') {
          holders.push(new Holder());
          bench.queue.acquire(holders.at(-1) as Holder);
        } else if (what === 'turn') bench.turn();
        else if (what === 'answer') bench.answer();
        else {
          const holder = current();
          if (holder !== undefined) {
            holders.splice(holders.indexOf(holder), 1);
            bench.queue.release(holder);
          }
        }
        if (current() !== undefined) assert.equal(bench.inFlight, 0);
      };
      for (const what of events) step(what);
      for (let round = 0; round <= events.length; round++)
        for (const what of ['turn', 'answer', 'release'] as const) step(what);
      assert.deepEqual(
        bench.names().flat(),
        Array.from({ length: asked }, (_, index) => String(index)),
      );
      assert.deepEqual([holders.length, bench.queue.length], [0, 0]);
    }),
    { numRuns: 300 },
  );
});
