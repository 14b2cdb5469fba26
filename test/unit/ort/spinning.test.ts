import { expect, test } from 'vitest';
import { spinEntries } from '../../../src/ort/spinning.js';

const ALLOWED = 'session.intra_op.allow_spinning';
const DURATION = 'session.intra_op.spin_duration_us';
const STOP = 'session.force_spinning_stop';

test('threads that may spin do so for a bounded time within a run, unless the caller wants no bound', () => {
  expect(spinEntries({ allowSpinning: false })).toEqual({ [ALLOWED]: '0' });
  expect(spinEntries({ allowSpinning: true })).toEqual({ [ALLOWED]: '1', [DURATION]: '20', [STOP]: '1' });
  expect(spinEntries({ allowSpinning: true, spinMicros: 70 })).toEqual({
    [ALLOWED]: '1',
    [DURATION]: '70',
    [STOP]: '1',
  });
  expect(spinEntries({ allowSpinning: true, spinMicros: Number.POSITIVE_INFINITY })).toEqual({ [ALLOWED]: '1' });
});
