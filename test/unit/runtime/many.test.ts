import { expect, it } from 'vitest';
import { Counter } from './code.js';
import { RuntimeWorld } from './world.js';

/** What is listed of so many actors with so many resources does not fit into one message. */
const ACTORS = 500;
const RESOURCES = 32;

it('lists all actors of a node, however many they are', async () => {
  const names = Array.from({ length: RESOURCES }, (_, i) => `r${i}-`.padEnd(64, 'x'));
  const amounts = (amount: number) => Object.fromEntries(names.map((name) => [name, amount]));
  const world = await RuntimeWorld.make();
  try {
    await world.node('a', { resources: amounts(ACTORS) });
    const { fleet } = await world.driver();
    const made = Array.from({ length: ACTORS }, (_, i) => fleet.actor(Counter, { args: [i], resources: amounts(1) }));
    const counters = await Promise.all(made);
    expect(new Set((await fleet.listActors()).map(({ id }) => id))).toEqual(new Set(counters.map(({ $id }) => $id)));
    const sums = await Promise.all(counters.map((counter) => counter.add(1)));
    expect(sums.reduce((all, each) => all + each, 0)).toBe((ACTORS * (ACTORS + 1)) / 2);
  } finally {
    await world.close();
  }
});
