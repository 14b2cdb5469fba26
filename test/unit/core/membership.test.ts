import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEAF_AFTER_MS } from '../../../src/core/hearing.js';
import type { Announcement } from '../../../src/core/member.js';
import { FORGET_AFTER_MS, step } from '../../../src/core/membership.js';
import type { MembershipEffect, MembershipEvent } from '../../../src/core/membership-events.js';
import { emptyMembership, type MembershipState, viewOf } from '../../../src/core/membership-state.js';
import { firstRank } from '../../../src/core/own-rank.js';
import { compareRanks } from '../../../src/core/rank.js';
import * as limits from '../../../src/limits.js';

const FINGERPRINT = 'f'.repeat(64);
const TICK_MS = 100;

function announcement(id: string, over: Partial<Announcement> = {}): Announcement {
  return {
    id,
    generation: 0,
    incarnation: '1',
    refutation: 0,
    state: 'serving',
    pid: 1,
    host: 'h',
    device: 'cpu',
    deviceReason: 'cpu was asked for',
    contextReason: '--context',
    trial: null,
    address: { hostId: 'h', unixPath: `/${id}`, tcpHost: null, tcpPort: null },
    fingerprint: FINGERPRINT,
    budget: { device: 1000, host: 0 },
    bytes: { device: 0, host: 0 },
    blocks: 0,
    blockBytes: 10,
    running: 0,
    waiting: 0,
    queuedTokens: 0,
    capacity: { contextTokens: 4096, sequences: 8, waiting: 256 },
    hitRate: 0,
    rates: { computeMsPerToken: null, decodeMsPerStep: null, fetchBytesPerMs: null },
    computeAgeMs: null,
    disk: 'none',
    holdingsSeq: 0,
    ...over,
  };
}

/** One process's membership, its clock, and the workers it hears. */
class Observer {
  nowMs = 5_000;
  state: MembershipState;
  effects: MembershipEffect[] = [];
  readonly audible = new Map<string, Announcement>();
  /** Whether its own messages come back to it. */
  echoes = true;
  readonly epochs: string[] = [];

  constructor(self: string | null = null) {
    const rank = self === null ? null : firstRank(self, { generation: 0, incarnation: '1' }, this.nowMs);
    this.state = emptyMembership(rank, FINGERPRINT, this.nowMs);
  }
  send(event: MembershipEvent): MembershipEffect[] {
    const { state, effects } = step(this.state, event, this.nowMs);
    this.state = state;
    this.effects.push(...effects);
    const { epoch } = viewOf(state);
    if (this.epochs.at(-1) !== epoch) this.epochs.push(epoch);
    return effects;
  }
  hear(id: string, over: Partial<Announcement> = {}): MembershipEffect[] {
    return this.send({ type: 'announced', announcement: announcement(id, over) });
  }
  /** Advances time, with a tick and an echo every 100 ms and an announcement of each audible worker every 400 ms. */
  pass(ms: number): void {
    for (let passed = TICK_MS; passed <= ms; passed += TICK_MS) {
      this.nowMs += TICK_MS;
      this.send({ type: 'tick' });
      if (this.echoes) this.send({ type: 'echoed' });
      if (this.nowMs % limits.ANNOUNCE_INTERVAL_MS === 0) {
        for (const said of this.audible.values()) this.send({ type: 'announced', announcement: said });
      }
    }
  }
  join(...ids: string[]): this {
    for (const id of ids) {
      this.audible.set(id, announcement(id));
      this.hear(id);
    }
    this.effects = [];
    this.epochs.splice(0, this.epochs.length - 1);
    return this;
  }
  stateOf(id: string) {
    return viewOf(this.state).members.find((member) => member.id === id)?.state;
  }
  ringIds() {
    return viewOf(this.state).ring.map((member) => member.id);
  }
  types(): string[] {
    return this.effects.map((effect) => effect.type).filter((type) => type !== 'changed');
  }
}

const probe = (type: 'probeAnswered' | 'probeFailed', id: string, incarnation = '1') =>
  ({ type, id, incarnation }) as const;
const linkClosed = (id: string, incarnation = '1') => ({ type: 'linkClosed', id, incarnation }) as const;

describe('a worker that announces itself', () => {
  it('joins, and gets its place on the ring once it serves', () => {
    const observer = new Observer();
    expect(observer.hear('a', { state: 'starting' }).map((e) => e.type)).toEqual(['joined', 'changed']);
    expect(observer.ringIds()).toEqual([]);
    expect(observer.hear('a').map((e) => e.type)).toEqual(['changed']);
    expect(observer.ringIds()).toEqual(['a']);
    expect(observer.hear('a', { state: 'draining' }).at(-1)).toMatchObject({
      type: 'changed',
      view: { ring: [], members: [{ state: 'draining' }] },
    });
  });

  it('changes the view by its budget or state, not by its load', () => {
    const observer = new Observer().join('a');
    expect(observer.hear('a', { running: 7, blocks: 3 })).toEqual([]);
    expect(viewOf(observer.state).members[0]).toMatchObject({ running: 7, blocks: 3 });
    expect(observer.hear('a', { budget: { device: 5, host: 5 } }).map((e) => e.type)).toEqual(['changed']);
  });

  it('is refused with both values named if it has another fingerprint, and reported once', () => {
    const observer = new Observer();
    const [refused] = observer.hear('a', { fingerprint: 'e'.repeat(64) });
    expect(refused).toMatchObject({ type: 'refused', reason: 'fingerprint', first: true });
    expect((refused as { message: string }).message).toContain('e'.repeat(64));
    expect((refused as { message: string }).message).toContain(FINGERPRINT);
    expect(observer.hear('a', { fingerprint: 'e'.repeat(64) })).toMatchObject([{ type: 'refused', first: false }]);
    expect(observer.stateOf('a')).toBeUndefined();
  });

  it('stays as long as it is heard', () => {
    const observer = new Observer().join('a', 'b');
    observer.pass(20_000);
    expect(observer.effects).toEqual([]);
  });

  it('is refused while the fleet is full', () => {
    const observer = new Observer();
    for (let i = 0; i < limits.FLEET_WORKERS; i++) observer.hear(`w${i}`);
    expect(observer.hear('late')).toMatchObject([{ type: 'refused', reason: 'full' }]);
    observer.send({ type: 'leaving', id: 'w0', incarnation: '1' });
    expect(observer.hear('late').map((e) => e.type)).toEqual(['joined', 'changed']);
  });
});

describe('a worker that falls silent', () => {
  it('is suspect and probed, and dead when the probe fails', () => {
    const observer = new Observer().join('a', 'b');
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS);
    expect(observer.effects).toEqual([]);
    observer.pass(200);
    expect(observer.types()).toEqual(['suspect', 'probe']);
    expect(observer.ringIds()).toEqual(['a', 'b']);
    observer.send(probe('probeFailed', 'a'));
    expect(observer.types()).toEqual(['suspect', 'probe', 'dead']);
    expect(observer.stateOf('a')).toBe('dead');
    expect(observer.ringIds()).toEqual(['b']);
    expect(observer.epochs).toHaveLength(2);
  });

  it('is dead when the probe stays unanswered', () => {
    const observer = new Observer().join('a');
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS + limits.PROBE_TIMEOUT_MS + 300);
    expect(observer.stateOf('a')).toBe('dead');
  });

  it('is suspect once only, as long as it answers probes', () => {
    const observer = new Observer().join('a');
    observer.audible.delete('a');
    let probes = 0;
    for (let i = 0; i < 300; i++) {
      const before = observer.effects.length;
      observer.pass(TICK_MS);
      if (observer.effects.slice(before).some((effect) => effect.type === 'probe')) {
        probes++;
        observer.send(probe('probeAnswered', 'a'));
      }
    }
    expect(probes).toBeGreaterThan(5);
    expect(observer.types().filter((type) => type === 'suspect')).toHaveLength(1);
    expect(observer.stateOf('a')).toBe('serving');
    observer.pass(limits.SUSPECT_AFTER_MS + limits.PROBE_TIMEOUT_MS + 300);
    expect(observer.stateOf('a')).toBe('dead');
  });

  it('serves again as soon as it is heard', () => {
    const observer = new Observer().join('a');
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS + 200);
    expect(observer.stateOf('a')).toBe('suspect');
    observer.hear('a');
    expect(observer.stateOf('a')).toBe('serving');
    expect(observer.send(probe('probeFailed', 'a'))).toEqual([]);
  });
});

describe('a worker whose connection closes', () => {
  it('is suspect at once, and dead within a second if it was killed, even with a last announcement on its way', () => {
    const observer = new Observer().join('a', 'b');
    expect(observer.send(linkClosed('a')).map((e) => e.type)).toEqual(['suspect', 'probe', 'changed']);
    observer.audible.delete('a');
    observer.hear('a');
    expect(observer.stateOf('a')).toBe('suspect');
    observer.send(probe('probeFailed', 'a'));
    observer.pass(900);
    expect(observer.stateOf('a')).toBe('dead');
    expect(observer.types()).toEqual(['suspect', 'probe', 'dead']);
  });

  it('stays on the ring if only the path to it is cut and the bus still carries its announcements', () => {
    const observer = new Observer().join('a', 'b');
    for (let i = 0; i < 5; i++) {
      observer.send(linkClosed('a'));
      observer.send(probe('probeFailed', 'a'));
      observer.pass(2_000);
    }
    expect(observer.stateOf('a')).toBe('serving');
    expect(observer.epochs).toHaveLength(1);
    expect(observer.types()).not.toContain('dead');
  });

  it('serves again when it answers the probe', () => {
    const observer = new Observer().join('a');
    observer.send(linkClosed('a'));
    expect(observer.send(probe('probeAnswered', 'a')).map((e) => e.type)).toEqual(['cleared', 'changed']);
  });

  it('is not suspect because the connection of an earlier incarnation closes', () => {
    const observer = new Observer().join('a');
    observer.hear('a', { incarnation: '2' });
    observer.effects = [];
    expect(observer.send(linkClosed('a', '1'))).toEqual([]);
    expect(observer.send(probe('probeFailed', 'a', '1'))).toEqual([]);
  });
});

describe('an incarnation', () => {
  it('that is dead stays refused until it refutes that, or a later process joins', () => {
    const observer = new Observer().join('a');
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS + limits.PROBE_TIMEOUT_MS + 300);
    const latest = { generation: 0, incarnation: '1', refutation: 0 };
    expect(observer.hear('a')).toMatchObject([{ type: 'refused', reason: 'stale', latest, first: true }]);
    expect(observer.hear('a')).toMatchObject([{ type: 'refused', reason: 'stale', latest, first: false }]);
    expect(observer.stateOf('a')).toBe('dead');
    expect(observer.hear('a', { refutation: 1 }).map((e) => e.type)).toEqual(['joined', 'changed']);
    expect(observer.stateOf('a')).toBe('serving');
    expect(observer.hear('a', { refutation: 0 })).toEqual([]);
    expect(observer.hear('a', { generation: 1, incarnation: '0' })).toMatchObject([
      { type: 'dead', incarnation: '1', cause: 'fenced' },
      { type: 'joined', incarnation: '0' },
      { type: 'changed' },
    ]);
    expect(observer.hear('a', { refutation: 9 })).toMatchObject([
      { type: 'refused', reason: 'stale', latest: { generation: 1, incarnation: '0' } },
    ]);
  });

  it('that is newer fences the older one', () => {
    const observer = new Observer().join('a');
    const effects = observer.hear('a', { incarnation: '2' });
    expect(effects).toMatchObject([
      { type: 'dead', incarnation: '1', cause: 'fenced' },
      { type: 'joined', incarnation: '2' },
      { type: 'changed' },
    ]);
    expect(observer.hear('a', { incarnation: '1' })).toMatchObject([{ type: 'refused', reason: 'stale' }]);
    expect(viewOf(observer.state).members).toMatchObject([{ id: 'a', incarnation: '2', state: 'serving' }]);
  });

  it('that left does not rejoin by an announcement that was in flight', () => {
    const observer = new Observer().join('a');
    expect(observer.send({ type: 'leaving', id: 'a', incarnation: '1' }).map((e) => e.type)).toEqual([
      'left',
      'changed',
    ]);
    expect(observer.hear('a')).toMatchObject([{ type: 'refused', reason: 'stale' }]);
    expect(viewOf(observer.state)).toMatchObject({ ring: [], members: [] });
  });

  it('that is dead is forgotten after FORGET_AFTER_MS', () => {
    const observer = new Observer().join('a');
    observer.audible.delete('a');
    observer.pass(FORGET_AFTER_MS + 10_000);
    expect(observer.state.entries.size).toBe(0);
    expect(observer.effects.at(-1)).toMatchObject({ type: 'changed', view: { members: [] } });
  });
});

describe('a process that hears nobody', () => {
  it('suspects itself first, and declares no member dead, even if its bus reports no loss', () => {
    const observer = new Observer().join('a', 'b');
    const heard = new Map(observer.audible);
    observer.audible.clear();
    observer.echoes = false;
    observer.send(linkClosed('a'));
    observer.send(probe('probeFailed', 'a'));
    observer.pass(30_000);
    expect(observer.types()).toEqual(['suspect', 'probe', 'hearing']);
    observer.echoes = true;
    for (const [id, said] of heard) observer.audible.set(id, said);
    observer.pass(2_000);
    expect([observer.stateOf('a'), observer.stateOf('b')]).toEqual(['serving', 'serving']);
    expect(observer.epochs).toHaveLength(1);
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS + limits.PROBE_TIMEOUT_MS + 300);
    expect(observer.stateOf('a')).toBe('dead');
  });

  it('takes back a suspicion for silence when it finds that it is deaf', () => {
    const observer = new Observer().join('a', 'b');
    observer.audible.delete('a');
    observer.pass(limits.SUSPECT_AFTER_MS + TICK_MS);
    expect(observer.stateOf('a')).toBe('suspect');
    observer.audible.clear();
    observer.echoes = false;
    observer.pass(DEAF_AFTER_MS + TICK_MS);
    observer.send(probe('probeFailed', 'a'));
    expect(observer.stateOf('a')).toBe('serving');
  });

  it('is not deaf because it was too busy to read its echoes', () => {
    const observer = new Observer().join('a');
    observer.nowMs += 700;
    expect(observer.send({ type: 'tick' })).toEqual([]);
    observer.echoes = false;
    observer.pass(DEAF_AFTER_MS + TICK_MS);
    expect(observer.types()).toEqual(['hearing']);
  });

  it('doubts itself for a while if it hears itself, but none of several', () => {
    const observer = new Observer().join('a', 'b', 'c');
    observer.audible.clear();
    for (const id of ['a', 'b', 'c']) {
      observer.send(linkClosed(id));
      observer.send(probe('probeFailed', id));
    }
    observer.pass(7_500);
    expect(observer.types()).not.toContain('dead');
    observer.pass(1_000);
    expect(['a', 'b', 'c'].map((id) => observer.stateOf(id))).toEqual(['dead', 'dead', 'dead']);
  });

  it('buries the silent one as soon as it hears another', () => {
    const observer = new Observer().join('a', 'b');
    observer.audible.clear();
    observer.send(linkClosed('a'));
    observer.send(probe('probeFailed', 'a'));
    observer.pass(1_500);
    expect(observer.stateOf('a')).toBe('suspect');
    observer.hear('b');
    observer.pass(TICK_MS);
    expect(observer.stateOf('a')).toBe('dead');
  });
});

describe('the own worker', () => {
  const rank = (generation: number, incarnation: string, refutation = 0) => ({ generation, incarnation, refutation });
  const refusedBy = (latest: ReturnType<typeof rank>) => ({ type: 'refusedBy' as const, latest });

  it.each<[string, number, ReturnType<typeof rank>, object[]]>([
    ['refutes its death by a higher number', 60_000, rank(0, '1'), [rank(0, '1', 1)]],
    ['ignores a refusal that it never gave a reason for', 60_000, rank(0, '1', 5), []],
    ['ignores a member that knows only an earlier process', 60_000, rank(0, '0', 5), []],
    ['takes a later generation than the fleet has seen, while it is new', 0, rank(7, '0', 3), [rank(8, '1')]],
    ['waits for a later process that members know, once it is established', 60_000, rank(7, '0', 3), []],
  ])('%s', (_, ageMs, latest, raised) => {
    const observer = new Observer('1').join();
    observer.pass(ageMs);
    observer.effects = [];
    observer.send(refusedBy(latest));
    expect(observer.effects).toEqual(raised.map((to) => ({ type: 'raised', id: '1', ...to })));
  });

  it('refutes once, though many members refuse it', () => {
    const observer = new Observer('a').join('a');
    for (let i = 0; i < 5; i++) observer.send(refusedBy(rank(0, '1')));
    expect(observer.types()).toEqual(['raised']);
    observer.send(refusedBy(rank(0, '1', 1)));
    expect(observer.state.self?.refutation).toBe(2);
  });

  it('outranks a later process that is no longer heard', () => {
    const observer = new Observer('a').join('a');
    observer.pass(60_000);
    for (let ms = 0; ms <= 2 * limits.SUSPECT_AFTER_MS; ms += TICK_MS) {
      observer.send(refusedBy(rank(7, '9')));
      expect(observer.types()).toEqual([]);
      observer.pass(TICK_MS);
    }
    observer.send(refusedBy(rank(7, '9')));
    expect(observer.effects).toEqual([{ type: 'raised', id: 'a', ...rank(8, '1') }]);
  });

  it('is fenced by a later process of its ID, however often it refuted', () => {
    const observer = new Observer('a').join('a');
    observer.pass(60_000);
    observer.send(refusedBy(rank(0, '1')));
    observer.effects = [];
    observer.hear('a', rank(1, '0'));
    expect(observer.effects).toMatchObject([
      { type: 'dead', id: 'a', incarnation: '1', cause: 'fenced' },
      { type: 'joined', incarnation: '0' },
      { type: 'changed' },
    ]);
  });

  it('does not raise its rank once it is fenced off', () => {
    const observer = new Observer('a').join('a');
    observer.hear('a', rank(1, '0'));
    expect(observer.send(refusedBy(rank(0, '1')))).toEqual([]);
    expect(observer.send(refusedBy(rank(1, '0')))).toEqual([]);
  });

  it('refuses an older process of its ID before its own first announcement', () => {
    const observer = new Observer('a');
    observer.send(refusedBy(rank(4, '0')));
    expect(observer.effects).toEqual([{ type: 'raised', id: 'a', ...rank(5, '1') }]);
    expect(observer.hear('a', rank(4, '0'))).toMatchObject([
      { type: 'refused', reason: 'stale', latest: rank(5, '1') },
    ]);
    expect(observer.hear('a', rank(5, '1')).map((e) => e.type)).toEqual(['joined', 'changed']);
  });

  it('is not taken off the ring by a message that it leaves', () => {
    const observer = new Observer('a').join('a');
    expect(observer.send({ type: 'leaving', id: 'a', incarnation: '1' })).toEqual([]);
  });
});

describe('silence of all workers', () => {
  it('makes no worker suspect while the bus is lost, nor soon after', () => {
    const observer = new Observer().join('a', 'b');
    const heard = new Map(observer.audible);
    observer.audible.clear();
    observer.pass(limits.SUSPECT_AFTER_MS + 200);
    observer.send({ type: 'busLost' });
    expect([observer.stateOf('a'), observer.stateOf('b')]).toEqual(['serving', 'serving']);
    observer.pass(10_000);
    observer.send({ type: 'busFound' });
    observer.pass(limits.BUS_GRACE_MS);
    for (const [id, said] of heard) observer.audible.set(id, said);
    observer.pass(5_000);
    expect(observer.types()).not.toContain('dead');
    expect(observer.epochs).toHaveLength(1);
  });

  it('makes workers suspect that stay silent after the bus is found', () => {
    const observer = new Observer().join('a', 'b');
    observer.send({ type: 'busLost' });
    observer.audible.delete('a');
    observer.send(linkClosed('a'));
    observer.send(probe('probeFailed', 'a'));
    observer.pass(10_000);
    expect(observer.stateOf('a')).toBe('suspect');
    observer.send({ type: 'busFound' });
    observer.pass(limits.BUS_GRACE_MS + 1_000);
    expect([observer.stateOf('a'), observer.stateOf('b')]).toEqual(['dead', 'serving']);
  });

  it('makes no worker suspect for a process that was suspended itself', () => {
    const observer = new Observer().join('a', 'b');
    observer.nowMs += 10_000;
    observer.send({ type: 'tick' });
    observer.pass(5_000);
    expect(observer.types()).toEqual([]);
  });

  it('never makes the own worker suspect', () => {
    const observer = new Observer('a').join('a');
    observer.audible.clear();
    observer.send(linkClosed('a'));
    observer.pass(20_000);
    expect(observer.stateOf('a')).toBe('serving');
  });
});

describe('under random events', () => {
  const id = fc.constantFrom('a', 'b', 'c');
  const incarnation = fc.constantFrom('1', '2', '3');
  const event: fc.Arbitrary<MembershipEvent> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('announced' as const),
        announcement: fc
          .record({
            id,
            incarnation,
            generation: fc.constantFrom(0, 0, 1),
            refutation: fc.constantFrom(0, 0, 0, 1, 2),
            state: fc.constantFrom('starting', 'serving', 'draining'),
            fingerprint: fc.constantFrom(FINGERPRINT, FINGERPRINT, FINGERPRINT, 'bad'),
          })
          .map((said) => announcement(said.id, said as Partial<Announcement>)),
      }),
    },
    { weight: 3, arbitrary: fc.constantFrom({ type: 'tick' as const }, { type: 'echoed' as const }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom(
          'linkClosed' as const,
          'probeAnswered' as const,
          'probeFailed' as const,
          'leaving' as const,
        ),
        id,
        incarnation,
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('busLost' as const, 'busFound' as const) }) },
  );
  const timed = fc.array(fc.tuple(event, fc.integer({ min: 0, max: 700 })), { maxLength: 120 });

  it('the dead stay dead unless they refute that, every death is reported once, and the view changes exactly when changed is emitted', () => {
    fc.assert(
      fc.property(timed, (events) => {
        let state = emptyMembership(firstRank('c', { generation: 0, incarnation: '1' }, 0), FINGERPRINT, 0);
        let [nowMs, busLost] = [0, false];
        const present = new Set<string>();
        for (const [next, gapMs] of events) {
          nowMs += gapMs;
          const before = viewOf(state);
          const frozen = JSON.stringify(before);
          const result = step(state, next, nowMs);
          expect(JSON.stringify(viewOf(state))).toBe(frozen);
          if (next.type === 'busLost' || next.type === 'busFound') busLost = next.type === 'busLost';
          for (const effect of result.effects) {
            const name = 'id' in effect ? `${effect.id} ${effect.incarnation}` : '';
            if (effect.type === 'joined') {
              expect(present.has(name)).toBe(false);
              if (next.type !== 'announced') throw new Error(`${next.type} made a worker join`);
              const latest = state.entries.get(effect.id)?.announcement;
              if (latest !== undefined) expect(compareRanks(next.announcement, latest)).toBeGreaterThan(0);
              present.add(name);
            }
            if (effect.type === 'dead' || effect.type === 'left') {
              expect(present.delete(name)).toBe(true);
              if (busLost && effect.type === 'dead') expect(effect.cause).toBe('fenced');
            }
            if (effect.type === 'suspect')
              expect(effect.id === 'c' || (busLost && effect.cause === 'silence')).toBe(false);
          }
          const after = viewOf(result.state);
          const shape = (view: typeof after) =>
            JSON.stringify([view.ring, view.members.map((m) => [m.id, m.incarnation, m.state])]);
          const said = result.effects.filter((effect) => effect.type === 'changed');
          if (shape(before) !== shape(after)) expect(said).toEqual([{ type: 'changed', view: after }]);
          expect(said.length).toBeLessThanOrEqual(1);
          expect(
            after.members
              .filter((m) => m.state !== 'dead')
              .map((m) => `${m.id} ${m.incarnation}`)
              .sort(),
          ).toEqual([...present].sort());
          expect((before.epoch === after.epoch) === (JSON.stringify(before.ring) === JSON.stringify(after.ring))).toBe(
            true,
          );
          state = result.state;
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a worker that made wrong blocks', () => {
  const maker = { id: 'a', incarnation: '1' };

  it('loses its place at once, cannot refute that, and is told of no rank that it could raise', () => {
    const observer = new Observer('own').join('a', 'b');
    observer.send({ type: 'quarantined', maker });
    expect(observer.types()).toEqual(['dead']);
    expect([observer.stateOf('a'), observer.ringIds()]).toEqual(['dead', ['b']]);
    const refused = observer.hear('a', { refutation: 7 })[0];
    expect(refused).toMatchObject({ type: 'refused', reason: 'quarantined', latest: null });
    observer.audible.delete('a');
    observer.pass(2 * FORGET_AFTER_MS);
    expect(observer.stateOf('a')).toBe('dead');
  });

  it('is refused also if it was never seen before', () => {
    const observer = new Observer().join('b');
    observer.send({ type: 'quarantined', maker });
    expect(observer.hear('a')[0]).toMatchObject({ type: 'refused', reason: 'quarantined' });
    expect(observer.ringIds()).toEqual(['b']);
  });

  it('is itself again in another process, or after a pardon once it has refuted its death', () => {
    const observer = new Observer().join('a', 'b');
    observer.send({ type: 'quarantined', maker });
    observer.hear('a', { incarnation: '2', generation: 1 });
    expect(observer.ringIds()).toEqual(['a', 'b']);
    const other = new Observer().join('a', 'b');
    other.send({ type: 'quarantined', maker });
    other.send({ type: 'pardoned', maker });
    expect(other.hear('a')[0]).toMatchObject({ type: 'refused', reason: 'stale', latest: { refutation: 0 } });
    other.hear('a', { refutation: 1 });
    expect(other.ringIds()).toEqual(['a', 'b']);
  });

  it('does not end its view of itself', () => {
    const observer = new Observer('a').join('a', 'b');
    observer.send({ type: 'quarantined', maker });
    expect([observer.types(), observer.ringIds()]).toEqual([[], ['a', 'b']]);
  });
});
