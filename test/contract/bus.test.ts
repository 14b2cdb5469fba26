import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { MemoryBroker } from '../../src/bus/memory-bus.js';
import { SealedBus } from '../../src/bus/sealed-bus.js';
import { matches, subjectToken, tokenText } from '../../src/bus/subject.js';
import { SystemClock, settled } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';
import { SystemRandom } from '../../src/random.js';
import { busContract } from './bus-suite.js';

busContract('MemoryBus', () => {
  const errors: { on: ((error: unknown) => void) | undefined } = { on: undefined };
  const broker = new MemoryBroker({ onError: (error) => errors.on?.(error) });
  let connections = 0;
  return {
    connect(onError) {
      if (onError) errors.on = onError;
      return broker.connect(`connection ${++connections}`);
    },
    async close() {},
  };
});

busContract('SealedBus', () => {
  const errors: { on: ((error: unknown) => void) | undefined } = { on: undefined };
  const broker = new MemoryBroker({ onError: (error) => errors.on?.(error) });
  let connections = 0;
  const inboxes = new WeakMap<Bus, string>();
  return {
    connect(onError) {
      if (onError) errors.on = onError;
      const id = `connection ${++connections}`;
      const bus = new SealedBus({
        bus: broker.connect(id),
        clock: new SystemClock(),
        random: new SystemRandom(),
        secret: 'sixteen characters',
        self: { id, incarnation: '1' },
        namespace: 'contract',
        ...(onError ? { onError } : {}),
      });
      inboxes.set(bus, `inbox.${subjectToken(id)}.1`);
      return bus;
    },
    inboxOf: (bus) => inboxes.get(bus)!,
    async close() {},
  };
});

describe('MemoryBus under faults', () => {
  const stage = () => {
    const broker = new MemoryBroker();
    const [a, b] = [broker.connect('a'), broker.connect('b')] as const;
    const got: string[] = [];
    b.subscribe('x.*', ({ subject }) => got.push(subject));
    return { broker, a, b, got };
  };
  const nothing = new Uint8Array(0);

  test('a severed direction loses messages in that direction only', async () => {
    const { broker, a, b, got } = stage();
    const back: string[] = [];
    a.subscribe('y', ({ subject }) => back.push(subject));
    broker.sever('a', 'b');
    a.publish('x.1', nothing);
    b.publish('y', nothing);
    await settled();
    expect(got).toEqual([]);
    expect(back).toEqual(['y']);
    broker.heal();
    a.publish('x.2', nothing);
    await settled();
    expect(got).toEqual(['x.2']);
  });

  test('a fault loses or duplicates single messages', async () => {
    const { broker, a, got } = stage();
    broker.fault = ({ subject }) => (subject === 'x.1' ? 0 : 2);
    a.publish('x.1', nothing);
    a.publish('x.2', nothing);
    await settled();
    expect(got).toEqual(['x.2', 'x.2']);
  });

  test('a lost connection reports it, delivers nothing, and keeps its subscriptions', async () => {
    const { a, b, got } = stage();
    const statuses: string[] = [];
    const end = b.onStatus((status) => statuses.push(status));
    b.lose();
    expect(() => b.publish('y', nothing)).toThrow(Unavailable);
    a.publish('x.1', nothing);
    await settled();
    b.restore();
    a.publish('x.2', nothing);
    await settled();
    expect(got).toEqual(['x.2']);
    expect(statuses).toEqual(['lost', 'found']);
    end();
    b.lose();
    expect(statuses).toHaveLength(2);
  });
});

describe('subjects', () => {
  test.each([
    ['a.b', 'a.b', true],
    ['a.b', 'a.c', false],
    ['a', 'a.b', false],
    ['a.b', 'a', false],
    ['*', 'a', true],
    ['*', 'a.b', false],
    ['a.>', 'a', false],
    ['>', 'a', true],
    ['*.>', 'a.b.c', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*.c', 'a.b.d', false],
  ])('%s fits %s: %s', (pattern, subject, fits) => {
    expect(matches(pattern, subject)).toBe(fits);
  });

  test('different names become different single tokens', () => {
    const names = ['worker-1', 'a.b', 'a=2e=b', '', '=', '*', '>', 'ä', '𝄞', 'a b'];
    const tokens = names.map(subjectToken);
    expect(new Set(tokens).size).toBe(names.length);
    for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9_=-]+$/);
    expect(tokens[0]).toBe('worker-1');
    expect(tokens.map(tokenText)).toEqual(names);
  });

  test.each(['', '=110000=', '=61=', '=2E=', 'a.b', 'ä', '=2e'])('%j is the token of no name', (token) => {
    expect(tokenText(token)).toBeNull();
  });
});
