import { describe, expect, it } from 'vitest';
import { Draws } from '../../sim/draws.js';
import { drawPlan, traitsOf } from '../../sim/plan.js';

/** What the seeds of the simulator draw. */

const SEEDS = 1_000;
/** Each variant of a fault, and each trait of a fleet, that 1,000 seeds have to have at least as often as `LEAST`. */
const LEAST = 5;
const FAULTS = [
  ...['kill', 'pause', 'flap', 'isolate'].flatMap((kind) => [`${kind} a worker`, `${kind} a coordinator`]),
  ...['isolate a worker, one way', 'isolate a coordinator, one way'],
  ...['isolate half of the workers', 'isolate half of the workers and coordinators'],
  ...['isolate half of the workers, one way', 'isolate half of the workers and coordinators, one way'],
  ...['killings', 'restart', 'succession', 'poison', 'corrupt', 'wall clock'],
  ...['partition, one way', 'partition, both ways', 'slow messages', 'slow messages and payloads'],
  ...['store of nats full', 'store of nats mute', 'store of nats off', 'store of nats silent'],
  ...['nats away', 'nats emptied', 'nats loses', 'nats loses and duplicates'],
  ...['disk hung', 'disk slow', 'disk failing', 'disk full', 'disk damaged'],
];
const TRAITS = [
  ...['three replicas', 'three workers', 'two coordinators', 'sealed messages', 'long answers'],
  ...['little memory', 'a device with its own memory', 'a host tier', 'a disk tier'],
  ...['clients that leave', 'clients that repeat requests', 'retained prompts', 'strict durability', 'objects'],
];

describe('the seeds of the simulator', () => {
  const draws = new Draws();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = drawPlan(seed);
    draws.add(plan.faults, traitsOf(plan));
  }

  it('draw every fault, in each of its variants', () => {
    expect(Object.keys(draws.faults).sort()).toEqual([...FAULTS].sort());
    expect(Object.entries(draws.faults).filter(([, count]) => count < LEAST)).toEqual([]);
  });

  it('draw every trait of a fleet and its load', () => {
    expect(Object.keys(draws.traits).sort()).toEqual([...TRAITS].sort());
    expect(Object.entries(draws.traits).filter(([, count]) => count < LEAST)).toEqual([]);
  });
});
