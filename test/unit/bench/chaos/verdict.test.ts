import { describe, expect, it } from 'vitest';
import { atLeast, atMost } from '../../../../bench/chaos/fault.js';
import { formatChaos } from '../../../../bench/chaos/table.js';
import { type ChaosRow, exitCode, missed } from '../../../../bench/chaos/verdict.js';

const row = (more: Partial<ChaosRow>): ChaosRow => ({
  fault: 'a-fault',
  row: 'something is done',
  passes_when: 'nothing happens',
  pass: true,
  figures: {},
  seconds: 1,
  ...more,
});

describe('the verdict of a row', () => {
  it('names each figure beyond its bound, with both values', () => {
    const bounds = { failed_requests: atMost(0), requests: atLeast(10), noticed_ms: atMost(1_000) };
    expect(missed({ failed_requests: 0, requests: 10, noticed_ms: 1_000 }, bounds)).toEqual([]);
    expect(missed({ failed_requests: 2, requests: 9, noticed_ms: 1_000.6 }, bounds)).toEqual([
      'failed_requests is 2; at most 0 is allowed',
      'requests is 9; at least 10 is allowed',
      'noticed_ms is 1001; at most 1000 is allowed',
    ]);
  });

  it('counts a missing measurement as failed', () => {
    const bounds = { wrong_answers: atMost(0) };
    expect(missed({}, bounds)).toEqual(['wrong_answers was not measured']);
    expect(missed({ wrong_answers: Number.NaN }, bounds)).toEqual(['wrong_answers was not measured']);
  });
});

describe('a report', () => {
  const skipped = row({ fault: 'needs-root', pass: false, skipped: 'this process is not root' });
  const failed = row({ fault: 'bad', pass: false, why: 'failed_requests is 2', figures: { failed_requests: 2 } });

  it('fails by a failed row, and not by a skipped one', () => {
    expect(exitCode([row({}), skipped])).toBe(0);
    expect(exitCode([row({}), failed, skipped])).toBe(1);
  });

  it('shows every row with its figures and reasons, and says that skipped rows prove nothing', () => {
    const text = formatChaos({ name: 'chaos', machine: 'a machine', seed: 7, rows: [row({}), failed, skipped] });
    expect(text).toBe(
      [
        'chaos on a machine, seed 7',
        '',
        'fault       result   figures',
        'a-fault     pass',
        'bad         FAIL     failed requests 2',
        'needs-root  skipped',
        '',
        'bad failed: failed_requests is 2',
        'needs-root was skipped: this process is not root',
        '',
        '1 passed, 1 failed, 1 skipped: these prove nothing',
      ].join('\n'),
    );
  });
});
