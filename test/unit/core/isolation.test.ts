import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Mutant, SimulatedMembers } from './support/simulated-members.js';

/** Virtual time for the views of all members to agree after all faults are healed. */
const CONVERGED_WITHIN_MS = 10_000;

const FAULTS = ['cut', 'deafen', 'mute', 'flap', 'pause', 'kill', 'restart', 'sever', 'halve', 'double'] as const;

interface Fault {
  readonly kind: (typeof FAULTS)[number];
  readonly target: number;
  readonly other: number;
  readonly ms: number;
  /** Time until the next fault, which may begin before this one ends. */
  readonly gapMs: number;
}

const fault: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom(...FAULTS),
  target: fc.nat({ max: 100 }),
  other: fc.nat({ max: 100 }),
  ms: fc.constantFrom(300, 700, 2_000, 3_000, 5_000, 10_000, 20_000),
  gapMs: fc.integer({ min: 0, max: 8_000 }),
});

const scenario = fc.record({
  workers: fc.integer({ min: 2, max: 6 }),
  coordinators: fc.integer({ min: 1, max: 2 }),
  seed: fc.integer(),
  loss: fc.constantFrom(0, 0.01, 0.1),
  counter: fc.boolean(),
  faults: fc.array(fault, { minLength: 1, maxLength: 6 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

/** Runs faults, heals all, and returns all violations of the invariants. */
function run({ faults, ...options }: Scenario, mutant?: Mutant): string[] {
  const fleet = new SimulatedMembers(mutant === undefined ? options : { ...options, mutant });
  fleet.advance(3_000);
  const ends: { readonly atMs: number; readonly end: () => void }[] = [];
  const pass = (ms: number) => {
    const untilMs = fleet.nowMs + ms;
    for (;;) {
      const next = ends.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      ends.shift();
      fleet.advance(Math.max(0, next.atMs - fleet.nowMs));
      next.end();
    }
    fleet.advance(untilMs - fleet.nowMs);
  };
  for (const what of faults) {
    for (const { atMs, end } of begin(fleet, what)) ends.push({ atMs: fleet.nowMs + atMs, end });
    pass(what.gapMs);
  }
  pass(0);
  fleet.healAll();
  fleet.advance(CONVERGED_WITHIN_MS);
  return [...fleet.violations, ...fleet.differences()];
}

/** Begins a fault. Returns what happens later. */
function begin(fleet: SimulatedMembers, { kind, target, other, ms }: Fault) {
  const living = fleet.processes.filter(({ alive }) => alive);
  const workers = living.filter(({ generation }) => generation !== null);
  const { name } = living[target % living.length]!;
  const peer = living[other % living.length]!.name;
  const later = (atMs: number, end: () => void) => ({ atMs, end });
  const ifAlive = (id: string, act: () => void) => () => {
    if (fleet.processes.findLast((process) => process.name === id)!.alive) act();
  };
  switch (kind) {
    case 'cut':
    case 'deafen':
    case 'mute':
      fleet.cut(name, { sends: kind === 'deafen', receives: kind === 'mute' });
      return [later(ms, () => fleet.heal(name))];
    case 'halve': {
      const half = living.filter((_, i) => i % 2 === target % 2).map((process) => process.name);
      for (const id of half) fleet.cut(id);
      return half.map((id) => later(ms, () => fleet.heal(id)));
    }
    case 'flap':
      fleet.cut(name);
      return Array.from({ length: 12 }, (_, i) =>
        later(700 * (i + 1), () => (i % 2 === 0 ? fleet.heal(name) : fleet.cut(name))),
      );
    case 'pause':
      fleet.pause(name);
      return [
        later(
          ms,
          ifAlive(name, () => fleet.resume(name)),
        ),
      ];
    case 'sever':
      if (name !== peer) fleet.sever(name, peer);
      return [];
    case 'double':
      if (workers.length > 0) fleet.start(workers[target % workers.length]!.name);
      return [];
    case 'kill':
    case 'restart': {
      const victim = workers[target % workers.length]?.name;
      if (victim === undefined) return [];
      fleet.kill(victim);
      return kind === 'kill' ? [] : [later(ms, () => fleet.start(victim))];
    }
  }
}

describe('simulated members under faults', () => {
  it('end no healthy member, declare none dead while they hear none, and agree soon after healing', () => {
    fc.assert(
      fc.property(scenario, (drawn) => {
        expect(run(drawn)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it.each<Mutant>(['obeys one refusal', 'never suspects itself'])('catch a member that %s', (mutant) => {
    const sample = fc.sample(scenario, { numRuns: 300, seed: 1 });
    expect(sample.some((drawn) => run(drawn, mutant).length > 0)).toBe(true);
  });

  it('bury the dead within 1 s if its connections close, and within 2.5 s if they do not, where the rest is heard', () => {
    const options = { workers: 4, coordinators: 2, seed: 1, loss: 0, counter: true };
    for (const [fault, withinMs] of [
      ['kill', 1_000],
      ['pause', 2_500],
    ] as const) {
      const fleet = new SimulatedMembers(options);
      fleet.advance(5_000);
      fleet[fault]('w1');
      fleet.advance(withinMs);
      expect(fleet.deaths).toBe(5);
    }
  });
});
