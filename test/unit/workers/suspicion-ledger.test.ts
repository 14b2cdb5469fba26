import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { EVIDENCE_MS } from '../../../src/limits.js';
import { RememberedSuspicions, type SuspicionMessage } from '../../../src/protocol/suspicion.js';
import { SuspicionLedger } from '../../../workers/suspicion-ledger.js';

const name = (number: number) => number.toString(16).padStart(32, '0');

describe('what a worker remembers of the evidence against prompts', () => {
  let clock: SimulatedClock;
  let ledger: SuspicionLedger;
  beforeEach(() => {
    clock = new SimulatedClock(5_000_000);
    ledger = new SuspicionLedger(clock, 'w');
  });

  const witnessed = (worker: string, prompts: readonly number[], agoMs = 0): SuspicionMessage => ({
    ...({ type: 'witnessed', from: 'c', worker, incarnation: '1', agoMs } as const),
    prompts: prompts.map((prompt) => ({
      prompt: name(prompt),
      request: name(prompt + 1),
      tokens: 3,
      fresh: 2,
      ranMs: 40 + agoMs,
    })),
  });
  const quarantined = (prompt: number, forMs: number, request: string | null = null): SuspicionMessage => {
    return { type: 'quarantined', from: 'c', prompts: [{ prompt: name(prompt), request, forMs }] };
  };

  it('comes back with the times that have passed, and is news once', async () => {
    expect(ledger.take(witnessed('a', [1, 2]))).toBe(true);
    expect(ledger.take(quarantined(7, 60_000))).toBe(true);
    await clock.advance(1_000);
    expect([ledger.take(witnessed('a', [1, 2], 1_000)), ledger.take(quarantined(7, 59_000))]).toEqual([false, false]);
    const { prompts, ...loss } = witnessed('a', [1, 2], 1_000) as Extract<SuspicionMessage, { type: 'witnessed' }>;
    expect(ledger.list()).toEqual([
      { ...loss, prompts },
      { ...quarantined(7, 59_000), from: 'w' },
    ]);
    await clock.advance(EVIDENCE_MS);
    expect(ledger.list()).toEqual([]);
  });

  it('ends where a prompt is cleared or convicted, or somebody killed the worker', () => {
    const losses = ['a 1', 'b 1'];
    const cleared = { type: 'cleared' as const, from: 'c', prompt: name(1), request: name(2), losses };
    ledger.take(witnessed('a', [1, 2]));
    expect(ledger.take({ ...cleared, request: name(9) })).toBe(false);
    expect(ledger.take(cleared)).toBe(true);
    expect(ledger.list()).toEqual([witnessed('a', [2])]);
    ledger.take(quarantined(2, 1_000));
    expect([ledger.take(witnessed('a', [2])), ledger.list().length]).toEqual([false, 1]);
    ledger.take(witnessed('b', [3]));
    expect(ledger.take({ type: 'killed', from: 'c', worker: 'b', incarnation: '1' })).toBe(true);
    expect(ledger.take(witnessed('b', [3]))).toBe(false);
    expect(ledger.list().map(({ type }) => type)).toEqual(['killed', 'quarantined']);
  });

  it('convicts a prompt of which two requests are convicted, and keeps what speaks against others until then', () => {
    ledger.take(witnessed('a', [1]));
    ledger.take(quarantined(1, 1_000, name(2)));
    expect(ledger.list()).toEqual([witnessed('a', [1]), { ...quarantined(1, 1_000, name(2)), from: 'w' }]);
    expect(ledger.take(quarantined(1, 1_000, name(3)))).toBe(true);
    expect(ledger.list()).toEqual([{ ...quarantined(1, 1_000), from: 'w' }]);
  });

  it('is bounded, and fits into one message, whatever it is told', () => {
    for (let i = 0; i < 1_000; i++) {
      ledger.take(
        witnessed(
          `worker-${i}`,
          Array.from({ length: 256 }, (_, at) => 256 * i + at),
        ),
      );
      ledger.take(quarantined(1_000_000 + i, 600_000));
      ledger.take({ type: 'killed', from: 'c', worker: `killed-${i}`, incarnation: '1' });
    }
    const messages = ledger.list();
    expect(RememberedSuspicions.safeParse({ messages }).success).toBe(true);
    const prompts = messages.flatMap((message) => (message.type === 'witnessed' ? message.prompts : []));
    expect([prompts.length > 0, prompts.length <= 4_096, messages.length <= 300]).toEqual([true, true, true]);
  });

  it('has nothing of claims, nor of what is older than evidence lasts', () => {
    const claim = { prompt: name(1), worker: 'a', runs: true, suspect: true, seq: 1 };
    expect(ledger.take({ type: 'claim', from: 'c', ...claim })).toBe(false);
    expect(ledger.take(witnessed('a', [1], EVIDENCE_MS))).toBe(false);
    expect(ledger.list()).toEqual([]);
  });
});
