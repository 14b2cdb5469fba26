import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Interrupts, SAME_INTERRUPT_MS } from '../../../cli/interrupts.js';
import { SimulatedClock, settled } from '../../../src/clock.js';

async function isSettled(promise: Promise<void>): Promise<boolean> {
  let done = false;
  promise.then(() => {
    done = true;
  });
  await settled();
  return done;
}

describe('interrupts', () => {
  const clock = new SimulatedClock();

  it('count one Ctrl-C that arrives twice, as under npm, as one', async () => {
    const terminal = new EventEmitter();
    const interrupts = new Interrupts(terminal, clock);
    expect(await isSettled(interrupts.first)).toBe(false);
    terminal.emit('SIGINT');
    await clock.advance(SAME_INTERRUPT_MS - 1);
    terminal.emit('SIGINT');
    expect(await isSettled(interrupts.first)).toBe(true);
    expect(await isSettled(interrupts.second)).toBe(false);
  });

  it('count a later signal as a request to stop at once', async () => {
    const terminal = new EventEmitter();
    const interrupts = new Interrupts(terminal, clock);
    terminal.emit('SIGTERM', 'SIGTERM');
    await clock.advance(SAME_INTERRUPT_MS);
    terminal.emit('SIGINT', 'SIGINT');
    expect(await isSettled(interrupts.second)).toBe(true);
    expect(interrupts.signal).toBe('SIGTERM');
  });

  it('stop listening when closed', () => {
    const terminal = new EventEmitter();
    new Interrupts(terminal, clock).close();
    expect(terminal.eventNames()).toEqual([]);
  });
});
