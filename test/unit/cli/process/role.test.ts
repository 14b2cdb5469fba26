import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import { SAME_INTERRUPT_MS } from '../../../../cli/interrupts.js';
import type { ParentLink } from '../../../../cli/process/parent-link.js';
import { runRole } from '../../../../cli/process/role.js';
import { orAbort } from '../../../../src/async/abort.js';
import { Cancelled } from '../../../../src/errors.js';
import type { RunningRole } from '../../../../src/running-role.js';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]));

afterAll(() => {
  for (const signal of SIGNALS)
    for (const listener of process.listeners(signal))
      if (!before.get(signal)!.includes(listener)) process.removeListener(signal, listener);
});

test('a second Ctrl-C ends a role that takes its time to stop, but not the one that npm hands on', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const said: string[] = [];
  let ended: Promise<0 | 1> = Promise.resolve(0);
  let stopping = () => {};
  const stops = new Promise<void>((resolve) => {
    stopping = resolve;
  });
  const stop = () => {
    stopping();
    return new Promise<void>(() => {});
  };
  const ready: Promise<void> = new Promise((resolve) => {
    const link = { gone: new Promise<void>(() => {}), send: async () => resolve() };
    ended = runRole(
      {
        start: async () => ({ ready: {}, stop }),
        describe: String,
        onError: (error) => said.push(String(error)),
        onGivenUp: () => {},
      },
      link as unknown as ParentLink,
    );
  });
  await ready;
  process.emit('SIGINT');
  await stops;
  process.emit('SIGINT');
  await vi.advanceTimersByTimeAsync(SAME_INTERRUPT_MS);
  expect(said).toEqual([]);
  process.emit('SIGINT');
  expect(await ended).toBe(1);
  expect(said).toEqual(['Cancelled: stopped at once by a second Ctrl-C']);
});

test('a role that is to end while it starts says that it has given up, and fails nothing', async () => {
  const said: string[] = [];
  const link: Pick<ParentLink, 'gone' | 'send'> = { gone: Promise.resolve(), send: async () => {} };
  const code = await runRole(
    {
      start: (leaving) =>
        orAbort(new Promise<RunningRole>(() => {}), leaving).catch(() => Promise.reject(new Cancelled('no NATS'))),
      describe: String,
      onError: (error) => said.push(`failed: ${error}`),
      onGivenUp: () => said.push('given up'),
    },
    link as ParentLink,
  );
  expect([code, said]).toEqual([0, ['given up']]);
});
