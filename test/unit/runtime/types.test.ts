import { expectTypeOf, it } from 'vitest';
import { batched, type FleetClient } from '../../../src/index.js';
import { Counter, Picky } from './code.js';

/** What the compiler takes, and what it refuses. Nothing of it runs. */

it('lets the compiler check how actors are created', () => {
  const uses = (fleet: FleetClient) => [
    fleet.actor(Counter),
    fleet.actor(Counter, { args: [1], concurrencyGroups: { adds: { max: 2, methods: ['add'] } } }),
    fleet.actor(Picky, { args: ['gone'] }),
    fleet.actor<Counter>('Counter', { args: [1] }),
    // @ts-expect-error a constructor's argument of another type
    fleet.actor(Counter, { args: ['1'] }),
    // @ts-expect-error no arguments for a constructor that needs one
    fleet.actor(Picky),
    // @ts-expect-error options without the arguments
    fleet.actor(Picky, { name: 'picky' }),
    // @ts-expect-error a method that the class does not have
    fleet.actor(Counter, { concurrencyGroups: { adds: { max: 2, methods: ['sub'] } } }),
  ];
  expectTypeOf(uses).toBeFunction();
});

it('lets the compiler infer what a batch is made of', () => {
  expectTypeOf(batched((texts: string[]) => texts.map((text) => text.length))).toEqualTypeOf<
    (item: string) => Promise<number>
  >();
  expectTypeOf(batched(async (texts: readonly string[]) => texts.map(Number))).toEqualTypeOf<
    (item: string) => Promise<number>
  >();
});
