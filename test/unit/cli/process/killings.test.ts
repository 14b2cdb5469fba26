import { describe, expect, it } from 'vitest';
import { Killings } from '../../../../cli/process/killings.js';

describe('the end of a process', () => {
  it('is a killing by the signals that people and programs send, and none of a crash', () => {
    const killings = new Killings(() => 0);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      expect([signal, killings.isKilling({ signal })]).toEqual([signal, true]);
    for (const signal of ['SIGSEGV', 'SIGFPE', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGTRAP', null] as const)
      expect([signal, killings.isKilling({ signal })]).toEqual([signal, false]);
  });

  it('is no certain killing if the machine has killed a process for lack of memory since the end before, or does not say', () => {
    let count: number | null = 7;
    const killings = new Killings(() => count);
    count = 8;
    expect(killings.isKilling({ signal: 'SIGKILL' })).toBe(false);
    expect(killings.isKilling({ signal: 'SIGKILL' })).toBe(true);
    count = null;
    expect(killings.isKilling({ signal: 'SIGKILL' })).toBe(false);
    expect(killings.isKilling({ signal: 'SIGTERM' })).toBe(true);
  });
});
