import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packKeys } from '../../../src/core/key.js';
import { encode } from '../../../src/wire/msgpack.js';
import { Hive } from './support/hive.js';

const key = (name: string) => hash('sha256', name);

describe('the index keeper', () => {
  let hive: Hive;
  beforeEach(() => {
    hive = new Hive();
  });
  afterEach(() => hive.close());

  function holders(name: string): readonly string[] {
    return hive.holdings.holders(key(name));
  }

  it('requests a snapshot from a worker that joins, and applies its changes', async () => {
    const a = await hive.add('a');
    expect(a.snapshots).toBe(1);
    a.take([key('x')]);
    await hive.pass(1);
    expect(holders('x')).toEqual(['a']);
    expect(a.snapshots).toBe(1);
  });

  it('knows the blocks a worker had before it joined', async () => {
    await hive.add('a', {}, [key('x')]);
    await hive.pass(1);
    expect(holders('x')).toEqual(['a']);
  });

  it('detects a lost change by the number of the next one', async () => {
    const a = await hive.add('a');
    a.take([key('x')], false);
    a.take([key('y')]);
    await hive.pass(1);
    expect(a.snapshots).toBe(2);
    expect([holders('x'), holders('y')]).toEqual([['a'], ['a']]);
  });

  it('detects a lost last change by the announced number', async () => {
    const a = await hive.add('a');
    a.take([key('x')], false);
    await hive.pass(2_000);
    expect(holders('x')).toEqual(['a']);
    expect(a.snapshots).toBe(2);
  });

  it('catches up after an outage of its own bus', async () => {
    const a = await hive.add('a');
    hive.bus.lose();
    a.take([key('x')]);
    await hive.pass(10_000);
    expect(holders('x')).toEqual([]);
    hive.bus.restore();
    await hive.pass(2_000);
    expect(holders('x')).toEqual(['a']);
  });

  it("catches up after an outage of a worker's bus", async () => {
    const a = await hive.add('a');
    a.bus.lose();
    a.take([key('x')], false);
    // Too short for the worker to be declared dead.
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

  it('asks a worker that refutes its death for its blocks again', async () => {
    const a = await hive.add('a');
    a.take([key('x')]);
    a.bus.lose();
    await hive.pass(4_000);
    expect(hive.roster.alive('a')).toBeNull();
    expect(holders('x')).toEqual([]);
    a.bus.restore();
    await hive.pass(1_000);
    expect(holders('x')).toEqual([]);
    Object.assign(a.over, { refutation: 1 });
    await hive.pass(1_000);
    expect(holders('x')).toEqual(['a']);
    expect(a.snapshots).toBe(2);
  });

  it('ignores incarnations other than the live one', async () => {
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
    expect(a.snapshots).toBe(1);
  });

  it('ignores workers of another model, and unreadable messages', async () => {
    const a = await hive.add('a', { fingerprint: 'e'.repeat(64) });
    a.take([key('x')]);
    a.bus.publish(hive.subjects.holdings('a'), Uint8Array.of(0xc1, 1, 2));
    await hive.pass(2_000);
    expect(a.snapshots).toBe(0);
    expect(holders('x')).toEqual([]);
    expect(hive.roster.members()).toEqual([]);
  });
});
