import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KnockAnswer } from '../../../src/core/knock-answer.js';
import { giveBack, newAllotment, take } from '../../../src/runtime/core/allotment.js';
import { isValid, LEASE_EXPIRY_MS, LEASE_VALID_MS, LeaseWatch } from '../../../src/runtime/core/lease.js';
import {
  DEAF_AFTER_MS,
  DRIVER_SILENCE_MS,
  DRIVER_UNLINKED_MS,
  NODE_BUSY_MS,
  NODE_SILENCE_MS,
  NODE_UNREACHABLE_MS,
  NodeList,
  OUTAGE_GRACE_MS,
  WAKING_MS,
} from '../../../src/runtime/core/node-list.js';
import type { NodeView } from '../../../src/runtime/core/node-view.js';
import { ReferenceCount } from '../../../src/runtime/core/reference-count.js';
import { checkedResources, fits, minus, plus } from '../../../src/runtime/core/resources.js';
import { type CodeDemand, NOWHERE, rankNodes } from '../../../src/runtime/core/scheduler.js';

function node(id: string, more: Partial<NodeView> = {}): NodeView {
  const hosted = { name: 'f', kind: 'function', version: '1', source: 's', streams: [] } as const;
  const place = { pid: 1, host: 'h', address: null, worker: null, exports: [hosted], actors: 0, tasks: 0 };
  return { id, incarnation: `${id}-1`, kind: 'node', ...place, total: { cpu: 4 }, free: { cpu: 4 }, ...more };
}

const demand: CodeDemand = {
  ...{ kind: 'function', name: 'f', version: null, source: null, resources: { cpu: 1 }, near: NOWHERE, fill: 'spread' },
  bundle: null,
};

const ids = (nodes: readonly NodeView[], wanted: Partial<CodeDemand>, draw = 0) => {
  const ranking = rankNodes(nodes, { ...demand, ...wanted }, draw);
  return ranking.kind === 'nodes' ? ranking.nodes.map(({ id }) => id) : ranking.kind;
};

describe('the ranking of nodes', () => {
  const full = node('full', { free: { cpu: 0 } });
  const half = node('half', { free: { cpu: 2 } });
  const empty = node('empty');

  it('has nodes with room only, the emptiest or the fullest first, and near ones before all', () => {
    expect(ids([full, half, empty], {})).toEqual(['empty', 'half']);
    expect(ids([full, half, empty], { fill: 'pack' })).toEqual(['half', 'empty']);
    expect(ids([full, half, empty], { near: { nodes: ['half-1'], workers: [] } })).toEqual(['half', 'empty']);
    expect(ids([half, node('w', { worker: 'worker-2' })], { near: { nodes: [], workers: ['worker-2'] } })[0]).toBe('w');
    expect(ids([full], {})).toBe('busy');
  });

  it('spreads equal nodes by the draw, and by what runs there', () => {
    const nodes = ['a', 'b', 'c'].map((id) => node(id));
    const firsts = [0, 0.4, 0.7].map((draw) => ids(nodes, {}, draw)[0]);
    expect(new Set(firsts)).toEqual(new Set(['a', 'b', 'c']));
    expect(ids([node('a', { actors: 3 }), node('b', { actors: 1 })], { resources: {} })).toEqual(['b', 'a']);
  });

  it('says what is missing', () => {
    const why = (wanted: Partial<CodeDemand>, nodes = [empty]) => {
      const ranking = rankNodes(nodes, { ...demand, ...wanted }, 0);
      return 'why' in ranking ? ranking.why : ranking.kind;
    };
    expect(why({ name: 'g' })).toContain('no node hosts the function g');
    expect(why({ source: 'other' })).toContain('with the text of this program; the fleet has f@1');
    expect(why({ resources: { gpu: 1 } })).toBe('no node that hosts f has gpu 1 in all');
    const [other] = empty.exports;
    const two = [empty, node('b', { exports: [{ ...other!, version: '2' }] })];
    expect(why({}, two)).toContain('several versions, f@1, f@2');
    expect(why({ version: '2' }, two)).toBe('nodes');
  });
});

describe('resources', () => {
  const amounts = fc.dictionary(
    fc.constantFrom('cpu', 'gpu', 'shelf'),
    fc.integer({ min: 0, max: 40_000 }).map((n) => n / 10_000),
  );

  it('that are taken and given back are the same again', () => {
    fc.assert(
      fc.property(amounts, amounts, (total, part) => {
        if (!fits(part, total)) return;
        const left = minus(total, part);
        expect(Object.values(left).every((amount) => amount >= 0)).toBe(true);
        expect(fits(total, plus(left, part)) && fits(plus(left, part), { ...part, ...total })).toBe(true);
      }),
    );
  });

  it('are never granted beyond what there is, and GPUs never to two beyond their share', () => {
    const demands = fc.array(fc.constantFrom(0, 0.25, 0.5, 1, 2), { maxLength: 30 });
    fc.assert(
      fc.property(demands, fc.array(fc.nat(20)), (wanted, returned) => {
        let allotment = newAllotment({ gpu: 3 }, ['0', '1', '2']);
        const grants = [];
        for (const gpu of wanted) {
          const taken = take(allotment, { gpu });
          if (!taken) continue;
          allotment = taken.allotment;
          grants.push(taken.grant);
          expect(taken.grant.gpuIds).toHaveLength(Math.ceil(gpu));
          expect([...allotment.gpus.values()].every((share) => share >= -1e-9)).toBe(true);
        }
        for (const index of returned) {
          const [grant] = grants.splice(index, 1);
          if (grant) allotment = giveBack(allotment, grant);
        }
        for (const grant of grants) allotment = giveBack(allotment, grant);
        expect(allotment.free).toEqual({ gpu: 3 });
        expect([...allotment.gpus.values()]).toEqual([1, 1, 1]);
      }),
    );
  });

  it('have names and amounts within bounds', () => {
    expect(checkedResources('r', { cpu: 0.5, gpu: 0 })).toEqual({ cpu: 0.5 });
    expect(checkedResources('r', { gpu: 2, cpu: 1.5 })).toEqual({ gpu: 2, cpu: 1.5 });
    expect(() => checkedResources('r', { gpu: 1.5 })).toThrow(/r.gpu: must be a share of one GPU up to 1, or a whole/);
    expect(() => checkedResources('r', { gpu: 0.00001 })).toThrow('r.gpu: must be 0, or at least 0.0001, got 0.00001');
    for (const wrong of [{ '1x': 1 }, { cpu: -1 }, { cpu: Number.NaN }])
      expect(() => checkedResources('r', wrong)).toThrow(/^r/);
  });
});

describe('the list of members', () => {
  it('ends a silent member, sooner one at whose addresses nobody listens, and nobody while this process may be deaf', () => {
    const list = new NodeList();
    const [a, b] = [node('a'), node('b')];
    expect(list.heard(a, 0)).toEqual([{ type: 'joined', node: a }]);
    list.heard(b, 0);
    expect(list.suspect('a-1')).toEqual([{ type: 'suspected', node: a }]);
    expect(list.tick(NODE_UNREACHABLE_MS + 1)).toEqual([]);
    list.unreachable('a-1');
    // A closed port alone proves nothing.
    list.unreachable('b-1');
    expect(list.tick(NODE_UNREACHABLE_MS)).toEqual([]);
    expect(list.tick(NODE_UNREACHABLE_MS + 1)).toEqual([{ type: 'gone', node: a }]);
    list.deafUntil(10_000);
    expect(list.tick(9_999)).toEqual([]);
    expect(list.tick(10_000 + NODE_SILENCE_MS)).toEqual([]);
    expect(list.tick(10_001 + NODE_SILENCE_MS)).toEqual([{ type: 'gone', node: b }]);
    expect(list.heard(a, 20_000)).toEqual([{ type: 'joined', node: a }]);
    list.suspect('a-1');
    list.heard(a, 20_100);
    expect(list.suspects('a-1')).toBe(false);
    list.suspect('a-1');
    list.trust('a-1');
    expect(list.suspects('a-1')).toBe(false);
    expect(list.left('a-1')).toEqual([{ type: 'left', node: a }]);
  });

  it('takes the silence of others for theirs only as long as this process hears itself', () => {
    const list = new NodeList();
    list.echoed(0);
    list.heard(node('a'), 0);
    // The bus is silent: nothing comes back either.
    expect(list.tick(NODE_SILENCE_MS + 1)).toEqual([]);
    expect(list.tick(60_000)).toEqual([]);
    // The first echo after it comes before the announcements of others, which may have to find the bus again.
    list.echoed(60_000);
    expect(list.tick(60_000 + OUTAGE_GRACE_MS)).toEqual([]);
    for (let nowMs = 60_000; nowMs <= 60_000 + OUTAGE_GRACE_MS + NODE_SILENCE_MS; nowMs += DEAF_AFTER_MS)
      list.echoed(nowMs);
    const nowMs = 60_001 + OUTAGE_GRACE_MS + NODE_SILENCE_MS;
    expect(list.tick(nowMs)).toEqual([]);
    list.echoed(nowMs);
    list.heard(node('b'), nowMs);
    expect(list.tick(nowMs)).toEqual([{ type: 'gone', node: node('a') }]);
  });

  it('takes a pause of this process for no silence of the bus', () => {
    const list = new NodeList();
    list.echoed(0);
    list.heard(node('a'), 0);
    const pauseMs = 5_000;
    list.stoodStill(pauseMs, pauseMs);
    for (let nowMs = pauseMs + 100; nowMs < pauseMs + NODE_SILENCE_MS; nowMs += 400) list.echoed(nowMs);
    expect(list.tick(pauseMs + NODE_SILENCE_MS)).toEqual([]);
    list.echoed(pauseMs + NODE_SILENCE_MS + 1);
    expect(list.tick(pauseMs + NODE_SILENCE_MS + 1)).toEqual([{ type: 'gone', node: node('a') }]);
  });

  it('keeps a member that only its link shows to live, in doubt and unheard, until the link is silent too', () => {
    const list = new NodeList();
    const a = node('a');
    const byLink = (heardMs: number) => ({ linkHeardMs: () => heardMs, presenceOf: () => 'unknown' as const });
    list.heard(a, 0);
    expect(list.hears('a-1')).toBe(true);
    const silentMs = NODE_SILENCE_MS + 1;
    expect(list.tick(silentMs, byLink(silentMs - 1_000))).toEqual([{ type: 'suspected', node: a }]);
    expect([list.suspects('a-1'), list.hears('a-1'), list.isBusy('a-1')]).toEqual([true, false, false]);
    expect(list.tick(silentMs + 1, byLink(silentMs))).toEqual([]);
    list.heard(a, silentMs + 2);
    expect([list.suspects('a-1'), list.hears('a-1')]).toEqual([false, true]);
    expect(list.tick(3 * silentMs, byLink(3 * silentMs - NODE_SILENCE_MS))).toHaveLength(1);
    expect(list.tick(3 * silentMs + 1, byLink(3 * silentMs - NODE_SILENCE_MS))).toEqual([{ type: 'gone', node: a }]);
    expect(list.hears('a-1')).toBe(false);
  });

  it('is patient with a node whose process is there, until its link closes or it was started again', () => {
    const silentMs = NODE_SILENCE_MS + 1;
    const evidence = (presence: KnockAnswer) => ({ linkHeardMs: () => null, presenceOf: () => presence });
    const address = { hostId: 'h', unixPath: '/run/a.sock', tcpHost: null, tcpPort: null };
    const a = { ...node('a'), address };
    const busy = () => {
      const list = new NodeList();
      list.heard(a, 0);
      expect(list.tick(silentMs, evidence('there'))).toEqual([{ type: 'suspected', node: a }]);
      expect([list.hears('a-1'), list.isBusy('a-1')]).toEqual([false, true]);
      return list;
    };
    expect(busy().tick(NODE_BUSY_MS, evidence('there'))).toEqual([]);
    expect(busy().tick(NODE_BUSY_MS + 1, evidence('there'))).toEqual([{ type: 'gone', node: a }]);
    expect(busy().tick(silentMs + 1, evidence('unknown'))).toEqual([{ type: 'gone', node: a }]);
    const linked = busy();
    expect(linked.tick(NODE_BUSY_MS, { ...evidence('there'), linkHeardMs: () => NODE_BUSY_MS })).toEqual([]);
    // It wakes, and is about to be heard; only if it is not, its link is all that it has.
    expect(linked.isBusy('a-1')).toBe(true);
    const byLink = (nowMs: number) => ({ ...evidence('there'), linkHeardMs: () => nowMs });
    expect(linked.tick(NODE_BUSY_MS + WAKING_MS - 1, byLink(NODE_BUSY_MS + WAKING_MS))).toEqual([]);
    expect(linked.isBusy('a-1')).toBe(true);
    expect(linked.tick(NODE_BUSY_MS + WAKING_MS, byLink(NODE_BUSY_MS + WAKING_MS))).toEqual([]);
    expect([linked.hears('a-1'), linked.isBusy('a-1')]).toEqual([false, false]);
    const again = busy();
    again.heard({ ...a, incarnation: 'a-2' }, silentMs);
    expect(again.tick(silentMs + 1, evidence('there'))).toEqual([{ type: 'gone', node: a }]);
    const ended = new NodeList();
    ended.heard(a, 0);
    expect(ended.tick(NODE_UNREACHABLE_MS, evidence('ended'))).toEqual([{ type: 'suspected', node: a }]);
    expect(ended.tick(NODE_UNREACHABLE_MS + 1, evidence('ended'))).toEqual([{ type: 'gone', node: a }]);
  });

  it('is patient with drivers, whose actors end with them', () => {
    const list = new NodeList();
    const driver: NodeView = { ...node('d'), kind: 'driver' };
    list.heard(driver, 0);
    expect(list.tick(DRIVER_SILENCE_MS)).toEqual([]);
    list.heard(driver, DRIVER_SILENCE_MS);
    list.suspect('d-1');
    list.unreachable('d-1');
    expect(list.tick(DRIVER_SILENCE_MS + DRIVER_UNLINKED_MS)).toEqual([]);
    expect(list.tick(DRIVER_SILENCE_MS + DRIVER_UNLINKED_MS + 1)).toEqual([{ type: 'gone', node: driver }]);
    list.heard(driver, 0);
    expect(list.tick(DRIVER_SILENCE_MS + 1)).toEqual([{ type: 'gone', node: driver }]);
  });
});

describe('references to objects', () => {
  it('keep an object exactly as long as somebody holds it, or gets it in a message', () => {
    const holders = fc.constantFrom('own', 'b', 'c');
    const step = fc.oneof(
      fc.record({ type: fc.constant('hold' as const), holder: holders }),
      fc.record({ type: fc.constant('release' as const), holder: holders }),
      fc.record({ type: fc.constant('gone' as const), holder: holders }),
      fc.record({ type: fc.constant('sent' as const), forMs: fc.nat(10) }),
      fc.record({ type: fc.constant('pass' as const), byMs: fc.nat(10) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const counts = new ReferenceCount();
        counts.add('x', 'own');
        // The model: who holds it how often, and until when a message may be on its way.
        const held = new Map([['own', 1]]);
        let [nowMs, untilMs, alive] = [0, -1, true];
        for (const one of steps) {
          const before = alive;
          if (one.type === 'hold') expect(counts.hold('x', one.holder)).toBe(alive);
          if (one.type === 'hold' && alive) held.set(one.holder, (held.get(one.holder) ?? 0) + 1);
          if (one.type === 'release' && held.has(one.holder)) {
            const left = held.get(one.holder)! - 1;
            if (left === 0) held.delete(one.holder);
            else held.set(one.holder, left);
          }
          if (one.type === 'gone') held.delete(one.holder);
          if (one.type === 'sent') untilMs = alive ? Math.max(untilMs, nowMs + one.forMs) : untilMs;
          if (one.type === 'pass') nowMs += one.byMs;
          const ended =
            one.type === 'release'
              ? counts.release('x', one.holder, nowMs)
              : one.type === 'gone'
                ? counts.gone(one.holder, nowMs)
                : one.type === 'pass'
                  ? counts.tick(nowMs)
                  : [];
          if (one.type === 'sent') counts.sent('x', nowMs + one.forMs);
          const looked = ended.length > 0 || one.type === 'pass';
          if (looked || one.type === 'release' || one.type === 'gone')
            alive &&= held.size > 0 || untilMs > nowMs || !looked;
          expect(ended).toEqual(before && !alive ? ['x'] : []);
          expect(counts.has('x')).toBe(alive);
          if (!alive) return;
        }
      }),
    );
  });
});

describe('leases', () => {
  it('are over for others only when their node has stopped to act on them', () => {
    expect(LEASE_EXPIRY_MS).toBeGreaterThan(LEASE_VALID_MS * 1.2);
    const watch = new LeaseWatch();
    expect(watch.seen(7, 0)).toBe(LEASE_EXPIRY_MS);
    expect(watch.seen(7, LEASE_EXPIRY_MS - 1)).toBe(1);
    expect(watch.seen(8, LEASE_EXPIRY_MS)).toBe(LEASE_EXPIRY_MS);
    expect(watch.seen(8, 2 * LEASE_EXPIRY_MS)).toBe(0);
    expect([isValid(null, 0), isValid(0, LEASE_VALID_MS - 1), isValid(0, LEASE_VALID_MS)]).toEqual([
      false,
      true,
      false,
    ]);
  });
});
