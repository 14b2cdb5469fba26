import { describe, expect, it } from 'vitest';
import { InternalError } from '../../src/errors.js';
import { Lifecycle } from '../../src/lifecycle.js';

/** Parts that write down the order of their starts and stops. */
function parts() {
  const order: string[] = [];
  const part = (name: string, failing: { start?: boolean; stop?: boolean } = {}) => ({
    start: async () => {
      order.push(`start ${name}`);
      if (failing.start) throw new Error(`${name} does not start`);
    },
    stop: async () => {
      await Promise.resolve();
      order.push(`stop ${name}`);
      if (failing.stop) throw new Error(`${name} does not stop`);
    },
  });
  return { order, part };
}

describe('a lifecycle', () => {
  it('stops the parts in the reverse order of their start, one after another', async () => {
    const { order, part } = parts();
    const life = new Lifecycle();
    await life.start(part('a'));
    life.use('b', async (name) => {
      await Promise.resolve();
      order.push(`release ${name}`);
    });
    await life.start(part('c'));
    await life.stop();
    expect(order).toEqual(['start a', 'start c', 'stop c', 'release b', 'stop a']);
  });

  it('hands back the parts that it takes over', async () => {
    const { part } = parts();
    const life = new Lifecycle();
    const a = part('a');
    expect(await life.start(a)).toBe(a);
    expect(life.use('b', () => undefined)).toBe('b');
  });

  it('undoes a start that fails in the middle, and throws its error', async () => {
    const { order, part } = parts();
    const building = Lifecycle.build(async (life) => {
      await life.start(part('a'));
      await life.start(part('b', { start: true }));
      await life.start(part('c'));
    });
    await expect(building).rejects.toThrow('b does not start');
    expect(order).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('throws the error of the start, not errors of the stops that follow', async () => {
    const { order, part } = parts();
    const building = Lifecycle.build(async (life) => {
      await life.start(part('a', { stop: true }));
      throw new Error('the port is taken');
    });
    await expect(building).rejects.toThrow('the port is taken');
    expect(order).toEqual(['start a', 'stop a']);
  });

  it('stops all parts though one does not stop, and rejects with the first error', async () => {
    const { order, part } = parts();
    const life = new Lifecycle();
    await life.start(part('a', { stop: true }));
    await life.start(part('b', { stop: true }));
    life.use('c', () => {
      order.push('release c');
      throw new Error('c does not stop');
    });
    await expect(life.stop()).rejects.toThrow('c does not stop');
    expect(order).toEqual(['start a', 'start b', 'release c', 'stop b', 'stop a']);
  });

  it('stops each part once, however often it is told to', async () => {
    const { order, part } = parts();
    const life = new Lifecycle();
    await life.start(part('a'));
    await Promise.all([life.stop(), life.stop()]);
    await life.stop();
    expect(order).toEqual(['start a', 'stop a']);
  });

  it('takes over no part once it has stopped', async () => {
    const life = new Lifecycle();
    await life.stop();
    expect(() => life.use('late', () => undefined)).toThrow(InternalError);
  });
});
