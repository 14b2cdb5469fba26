import { once } from 'node:events';
import { expect, it } from 'vitest';
import { orAbort } from '../../../src/async/abort.js';
import { Cancelled } from '../../../src/errors.js';

it('Many waits share a signal without a warning, and end when it aborts', async () => {
  const controller = new AbortController();
  const warned: unknown[] = [];
  const onWarning = (warning: Error) => warned.push(warning.name);
  process.on('warning', onWarning);
  const waits = Array.from({ length: 100 }, () => orAbort(new Promise<never>(() => undefined), controller.signal));
  // Warnings come in the order in which they were emitted.
  process.emitWarning('last', 'Last');
  await once(process, 'warning').then(() => new Promise(setImmediate));
  process.off('warning', onWarning);
  expect(warned).toEqual(['Last']);
  controller.abort();
  const outcomes = await Promise.allSettled(waits);
  expect(outcomes.every((each) => each.status === 'rejected' && each.reason instanceof Cancelled)).toBe(true);
});
