import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SealedBlock } from '../../../src/core/block.js';
import type { RingMember } from '../../../src/core/epoch.js';
import {
  type HomesOf,
  type Push,
  pushesOf,
  type RingChangeContext,
  ringChange,
  roleOf,
} from '../../../src/core/replication.js';
import { Ring } from '../../../src/ring/ring.js';

const REPLICAS = 2;
const block = (segment: string, index: number): SealedBlock => ({
  key: `${segment}/${index}`,
  parent: null,
  index,
  segment,
  digest: '0'.repeat(16),
  maker: { id: 'w', incarnation: '1' },
});
const homesIn = (table: Record<string, string[]>) => (segment: string) => table[segment] ?? [];

describe('replication', () => {
  it('pushes new blocks to their other homes, a segment at a time and in order', () => {
    const blocks = [block('s', 1), block('t', 8), block('s', 0)];
    expect(pushesOf(blocks, 'a', homesIn({ s: ['a', 'b'], t: ['c', 'd'] }))).toEqual([
      { to: 'b', segment: 's', blocks: [block('s', 0), block('s', 1)] },
      { to: 'c', segment: 't', blocks: [block('t', 8)] },
      { to: 'd', segment: 't', blocks: [block('t', 8)] },
    ]);
  });

  it('distinguishes homes from guests', () => {
    const homesOf = homesIn({ s: ['a', 'b'] });
    expect([roleOf(block('s', 0), 'b', homesOf), roleOf(block('s', 0), 'c', homesOf)]).toEqual(['home', 'guest']);
  });
});

describe('a ring change', () => {
  const before = homesIn({ s: ['a', 'b'] });
  const blocks = [block('s', 0)];
  const push = (to: string) => ({ to, segment: 's', blocks });
  const seenBy = (
    self: string,
    gone: readonly string[] = [],
    unsettled: readonly HomesOf[] = [],
  ): RingChangeContext => ({
    self,
    present: (worker) => !gone.includes(worker),
    unsettled,
  });
  const names = (pushes: readonly Push<SealedBlock>[]) => pushes.map(({ to }) => to);

  it('makes the first remaining home push to a new home, and the other workers check it', () => {
    const after = homesIn({ s: ['b', 'c'] });
    expect(ringChange(blocks, before, after, seenBy('b', ['a']))).toEqual({
      roles: [],
      pushes: [push('c')],
      checks: [],
    });
    expect(ringChange(blocks, before, after, seenBy('d', ['a']))).toEqual({
      roles: [],
      pushes: [],
      checks: [push('c')],
    });
  });

  it('turns a home into a guest and a guest into a home', () => {
    const after = homesIn({ s: ['c', 'a'] });
    expect(ringChange(blocks, before, after, seenBy('b'))).toEqual({
      roles: [{ key: 's/0', role: 'guest' }],
      pushes: [],
      checks: [push('c')],
    });
    expect(ringChange(blocks, before, after, seenBy('c'))).toEqual({
      roles: [{ key: 's/0', role: 'home' }],
      pushes: [],
      checks: [],
    });
  });

  it('makes every worker with a copy push when no old home is left', () => {
    const after = homesIn({ s: ['c', 'd'] });
    expect(names(ringChange(blocks, before, after, seenBy('e', ['a', 'b'])).pushes)).toEqual(['c', 'd']);
  });

  it('makes a draining worker hand over the blocks of which it was the only home', () => {
    const after = homesIn({ s: ['b', 'c'] });
    const roles = [{ key: 's/0', role: 'guest' }];
    expect(ringChange(blocks, before, after, seenBy('a'))).toEqual({ roles, pushes: [push('c')], checks: [] });
  });

  it('makes every worker with a copy check recent homes when a worker is lost that may have owed them copies', () => {
    const lately = homesIn({ s: ['a', 'x'] });
    expect(ringChange(blocks, before, before, seenBy('a', ['x'], [lately])).checks).toEqual([push('b')]);
    expect(names(ringChange(blocks, before, before, seenBy('g', ['x'], [lately])).checks)).toEqual(['b']);
    expect(names(ringChange(blocks, before, before, seenBy('g', ['x'], [() => []])).checks)).toEqual(['a', 'b']);
  });

  it('leaves long-standing homes alone when another worker is lost', () => {
    for (const self of ['a', 'g']) {
      expect(ringChange(blocks, before, before, seenBy(self, ['x'], [before])).checks).toEqual([]);
    }
  });

  it('requires no action when a worker joins that is not a home', () => {
    for (const self of ['a', 'b', 'g']) {
      expect(ringChange(blocks, before, before, seenBy(self))).toEqual({ roles: [], pushes: [], checks: [] });
    }
  });

  it('pushes to each new home once, after up to R - 1 workers died and any number joined', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    fc.assert(
      fc.property(fc.subarray(ids, { minLength: 3 }), fc.subarray(ids), fc.nat(), (members, joining, victim) => {
        const dead = members[victim % members.length]!;
        const next = [...new Set([...members, ...joining])].filter((id) => id !== dead);
        const [homesBefore, homesAfter] = [members, next].map((list) => homesAmong(list.map((id) => [id, 1])));
        const pushed = new Map<string, number>();
        for (const self of next.filter((id) => members.includes(id))) {
          const held = SEGMENTS.map((segment) => block(segment, 0)).filter(({ segment }) =>
            homesBefore!(segment).includes(self),
          );
          const { pushes } = ringChange(held, homesBefore!, homesAfter!, seenBy(self, [dead]));
          for (const { to, segment } of pushes)
            pushed.set(`${segment} ${to}`, (pushed.get(`${segment} ${to}`) ?? 0) + 1);
        }
        const entering = SEGMENTS.flatMap((segment) =>
          homesAfter!(segment)
            .filter((home) => !homesBefore!(segment).includes(home))
            .map((home) => [`${segment} ${home}`, 1] as const),
        );
        expect(pushed).toEqual(new Map(entering));
      }),
      { numRuns: 50 },
    );
  });

  it('brings a block to all its homes, in any order in which workers join, die, learn of changes and push', () => {
    const step = fc.record({ what: fc.constantFrom<Step>('join', 'die', 'learn', 'push', 'push'), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 40 }), (steps) => {
        const fleet = new SimulatedFleet();
        for (const { what, which } of steps) fleet.apply(what, which);
        fleet.settle();
        expect(fleet.lacking()).toEqual([]);
      }),
      { numRuns: 1500 },
    );
  });
});

const SEGMENTS = Array.from({ length: 12 }, (_, i) => hash('sha256', `${i}`));

type Step = 'join' | 'die' | 'learn' | 'push';
/** The workers of the fleet with their incarnations. */
type View = readonly (readonly [id: string, incarnation: number])[];

const rings = new WeakMap<View, HomesOf>();

function homesAmong(view: View): HomesOf {
  const known = rings.get(view);
  if (known) return known;
  const ring = new Ring(
    view.map(([id, incarnation]): RingMember => ({ id, incarnation: `${incarnation}`, weight: 1 })),
  );
  const homes = new Map(SEGMENTS.map((segment) => [segment, ring.homes(segment, REPLICAS)]));
  rings.set(view, (segment) => homes.get(segment)!);
  return homesAmong(view);
}

/** A worker: its segments, its queue of pushes, and its possibly outdated view of the fleet. */
class SimulatedWorker {
  readonly held = new Set<string>();
  /** Segments that this worker has had as a home at some time. */
  readonly heldAsHome = new Set<string>();
  queue: Push<SealedBlock>[] = [];
  /** The homes before each change that this worker has learned of; none before it joined. */
  readonly past: HomesOf[] = [() => []];

  constructor(
    readonly id: string,
    readonly incarnation: number,
    public view: View,
  ) {}

  receive(segment: string): void {
    this.held.add(segment);
    if (homesAmong(this.view)(segment).includes(this.id)) this.heldAsHome.add(segment);
  }

  learn(view: View): void {
    const before = this.view;
    this.view = view;
    const present = (id: string) => of(before, id) === of(view, id);
    const lost = !before.every(([id]) => present(id));
    const [old, next] = [homesAmong(before), homesAmong(view)];
    const homesBefore: HomesOf = (segment) => old(segment).filter(present);
    const blocks = [...this.held].map((segment) => block(segment, 0));
    const unsettled = lost ? [...this.past] : [];
    this.past.push(homesBefore);
    const { pushes, checks } = ringChange(blocks, homesBefore, next, { self: this.id, present, unsettled });
    this.queue = [...this.queue.filter(({ segment, to }) => next(segment).includes(to)), ...pushes, ...checks];
    for (const segment of this.held) this.receive(segment);
  }
}

/** A fleet whose workers initially have all segments of which they are homes. */
class SimulatedFleet {
  private view: View = ['a', 'b', 'c'].map((id) => [id, 0]);
  private workers = this.view.map(([id, incarnation]) => new SimulatedWorker(id, incarnation, this.view));
  private births = 0;

  constructor() {
    for (const worker of this.workers) {
      for (const segment of SEGMENTS) if (homesAmong(this.view)(segment).includes(worker.id)) worker.receive(segment);
    }
  }

  apply(step: Step, which: number): void {
    const one = this.workers[which % this.workers.length]!;
    if (step === 'join' && this.workers.length < 7) this.join(`abcdefghi`[which % 9]!);
    if (step === 'die' && this.workers.length > 1) this.replace(this.workers.filter((worker) => worker !== one));
    if (step === 'learn' && one.view !== this.view) one.learn(this.view);
    if (step === 'push') this.push(one, which);
  }

  /** Lets all workers learn the current view, and complete their pushes. */
  settle(): void {
    for (const worker of this.workers) if (worker.view !== this.view) worker.learn(this.view);
    for (const worker of this.workers) while (worker.queue.length > 0) this.push(worker, 0);
  }

  /** Homes that lack a segment which a survivor has had as a home. */
  lacking(): string[] {
    const saved = SEGMENTS.filter((segment) => this.workers.some(({ heldAsHome }) => heldAsHome.has(segment)));
    return saved.flatMap((segment) =>
      homesAmong(this.view)(segment).filter(
        (id) => !this.workers.some((worker) => worker.id === id && worker.held.has(segment)),
      ),
    );
  }

  private join(id: string): void {
    const others = this.workers.filter((worker) => worker.id !== id);
    const fresh = new SimulatedWorker(id, ++this.births, this.view);
    this.replace([...others, fresh]);
    fresh.view = this.view;
  }

  private replace(workers: SimulatedWorker[]): void {
    this.workers = workers;
    this.view = workers.map(({ id, incarnation }) => [id, incarnation]);
  }

  /** Completes one queued push. A push to a worker that is gone stays queued until the pushing worker learns of the death. */
  private push(from: SimulatedWorker, which: number): void {
    const push = from.queue[which % from.queue.length];
    const to = push && this.workers.find(({ id, incarnation }) => id === push.to && incarnation === of(from.view, id));
    if (!to) return;
    to.receive(push.segment);
    from.queue = from.queue.filter((other) => other !== push);
  }
}

function of(view: View, id: string): number | undefined {
  return view.find(([other]) => other === id)?.[1];
}
