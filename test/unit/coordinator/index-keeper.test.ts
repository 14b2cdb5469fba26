import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packKeys } from '../../../src/core/key.js';
import { encode } from '../../../src/wire/msgpack.js';
import { Hive } from './support/hive.js';

const key = (name: string) => hash('sha256', name);

describe('the keeper of a coordinator', () => {
  let hive: Hive;
  beforeEach(() => {
    hive = new Hive();
  });
  afterEach(() => hive.close());

  function holders(name: string): readonly string[] {
    return hive.holdings.holders(key(name));
  }

  it('asks a worker that joins for all it has, and follows its changes', async () => {
    const a = await hive.add('a');
    expect(a.accounts).toBe(1);
    a.take([key('x')]);
    await hive.pass(1);
    expect(holders('x')).toEqual(['a']);
    expect(a.accounts).toBe(1);
  });

  it('knows what a worker took up before anybody listened', async () => {
    await hive.add('a', {}, [key('x')]);
    await hive.pass(1);
    expect(holders('x')).toEqual(['a']);
  });

  it('notices a change that was lost, by the number of the next', async () => {
    const a = await hive.add('a');
    a.take([key('x')], false);
    a.take([key('y')]);
    await hive.pass(1);
    expect(a.accounts).toBe(2);
    expect([holders('x'), holders('y')]).toEqual([['a'], ['a']]);
  });

  it('notices a change that was lost, though none follows, by what the worker announces', async () => {
    const a = await hive.add('a');
    a.take([key('x')], false);
    await hive.pass(2_000);
    expect(holders('x')).toEqual(['a']);
    expect(a.accounts).toBe(2);
  });

  it('catches up with what happened while its bus was lost', async () => {
    const a = await hive.add('a');
    hive.bus.lose();
    a.take([key('x')]);
    await hive.pass(10_000);
    expect(holders('x')).toEqual([]);
    hive.bus.restore();
    await hive.pass(2_000);
    expect(holders('x')).toEqual(['a']);
  });

  it('catches up with what a worker could not tell while its bus was lost', async () => {
    const a = await hive.add('a');
    a.bus.lose();
    a.take([key('x')], false);
    // Shorter than it takes to be taken for dead.
    await hive.pass(1_000);
    a.bus.restore();
    await hive.pass(2_000);
    expect(holders('x')).toEqual(['a']);
  });

  it('forgets a worker that dies', async () => {
    const a = await hive.add('a');
    a.take([key('x')]);
    await hive.pass(1);
    expect(holders('x')).toEqual(['a']);
    await a.die();
    await hive.pass(4_000);
    expect(holders('x')).toEqual([]);
  });

  it('takes nothing from another incarnation than the one that is alive', async () => {
    const a = await hive.add('a', { incarnation: '0005' });
    a.take([key('x')]);
    await hive.pass(1);
    for (const incarnation of ['0001', '0009']) {
      const stray = {
        worker: 'a',
        incarnation,
        seq: 1,
        added: packKeys([key('stray')]),
        removed: packKeys([key('x')]),
      };
      a.bus.publish(hive.subjects.holdings('a'), encode(stray));
    }
    await hive.pass(2_000);
    expect(holders('stray')).toEqual([]);
    expect(holders('x')).toEqual(['a']);
    expect(a.accounts).toBe(1);
  });

  it('passes over workers of another model, and what cannot be read', async () => {
    const a = await hive.add('a', { fingerprint: 'e'.repeat(64) });
    a.take([key('x')]);
    a.bus.publish(hive.subjects.holdings('a'), Uint8Array.of(0xc1, 1, 2));
    await hive.pass(2_000);
    expect(a.accounts).toBe(0);
    expect(holders('x')).toEqual([]);
    expect(hive.roster.members()).toEqual([]);
  });
});
