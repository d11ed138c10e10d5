import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import { type HistoryFacts, judge, lineageOf, notVisibleSql, PositionToken, Snapshot } from './history.ts';

const identity = { server: 'postgres:7:5', historyId: 'h', timeline: '00000001' };

const orders = { schema: null, name: 'orders' };

const facts = (more: Partial<HistoryFacts> = {}): HistoryFacts => ({
  identity,
  snapshot: Snapshot.parse('1000:1000:'),
  validFrom: 100n,
  bookmarks: new Map([['b', 499n]]),
  bookmarksBelow: new Map([[500n, 'b']]),
  trackingIds: new Map([['t', 'orders']]),
  ...more,
});

type Held = { snapshot?: string; lineage?: string; bookmark?: string | null; trackingId?: string; timeline?: string };

function held({
  snapshot = '500:500:',
  lineage = lineageOf(identity),
  bookmark = 'b',
  ...token
}: Held = {}): SourcePosition {
  const text = PositionToken.toText({
    snapshot: Snapshot.parse(snapshot),
    trackingId: 't',
    timeline: '00000001',
    ...token,
  });
  return { lsn: Lsn.of(Snapshot.parse(snapshot).xmin), token: text, lineage, bookmark };
}

const verdict = (position: SourcePosition, known = facts()): string => {
  const result = judge(position, orders, known);
  return result.kind === 'repopulate' ? result.reason : result.kind;
};

test('the decisions of docs/change-tracking.md', () => {
  assert.equal(verdict(held()), 'continue');
  assert.equal(verdict(held({ snapshot: '2000:2000:' })), 'ahead');
  assert.equal(verdict(held({ bookmark: 'unknown' })), 'history-lost');
  assert.equal(verdict(held({ trackingId: 'older' })), 'tracking-was-off');
  assert.equal(verdict(held(), facts({ trackingIds: new Map([['t', 'renamed since']]) })), 'tracking-was-off');
  assert.equal(verdict(held({ snapshot: '50:60:' })), 'retention');
  assert.equal(verdict(held({ lineage: 'postgres:7:5:other' })), 'history-lost');
  assert.equal(verdict(held({ lineage: 'postgres:8:5:h' })), 'moved');
  assert.equal(verdict(held({ lineage: 'postgres:8:5:h', bookmark: 'unknown' })), 'foreign');
  assert.equal(verdict(held({ lineage: 'sqlite:x', bookmark: null })), 'foreign');
});

test('another timeline counts only when nothing was seen after the bookmark', () => {
  assert.equal(verdict(held({ timeline: '00000002' })), 'continue');
  assert.equal(verdict(held({ timeline: '00000002', snapshot: '501:501:' })), 'history-lost');
  assert.equal(verdict(held({ timeline: '00000002', snapshot: '490:500:490' })), 'history-lost');
});

test('a bookmark may be gone with the changes of its time, but then they are too old anyway', () => {
  assert.equal(verdict(held({ bookmark: 'pruned', snapshot: '50:60:' })), 'retention');
});

test('without a table only the lineage counts', () => {
  assert.deepEqual(judge(held({ trackingId: 'older' }), null, facts()), { kind: 'continue' });
});

test('a snapshot survives its text', () => {
  const xid = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(xid, xid, fc.array(xid), (xmin, xmax, running) => {
      assert.deepEqual(Snapshot.parse(Snapshot.toText({ xmin, xmax, running })), { xmin, xmax, running });
    }),
  );
});

test('what is not visible: later ones and those that were running', () => {
  assert.equal(notVisibleSql('x', Snapshot.parse('5:9:')), "x >= '9'::xid8");
  assert.equal(notVisibleSql('x', Snapshot.parse('5:9:5,7')), "(x >= '9'::xid8 OR x = ANY ('{5,7}'::xid8[]))");
});
