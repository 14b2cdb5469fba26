import { describe, expect, it } from 'vitest';
import { measuredIn, measuredWorkload } from '../../../../src/core/capacity/measured.js';
import { sharingCost } from '../../../../src/core/capacity/sharing-cost.js';

const METRICS = `# TYPE process_start_time_seconds gauge
process_start_time_seconds 1000
shoal_prompt_tokens_total{source="local"} 2000
shoal_prompt_tokens_total{source="remote"} 5000
shoal_prompt_tokens_total{source="computed"} 3000
`;

describe('the workload of a fleet that runs', () => {
  it('has the hits that its coordinator measured', () => {
    const measured = measuredIn(METRICS, 1_100)!;
    expect(measured).toEqual({ seconds: 100, tokens: { local: 2_000, remote: 5_000, computed: 3_000 } });
    const workload = measuredWorkload(measured, 64);
    expect([workload.promptTokens, workload.shared(1), workload.apart(3, 1)]).toEqual([10_000, 0.7, 0.2]);
    const machinery = { workers: 3, cacheBytes: 2 ** 34, kvBytesPerToken: 131_072, networkBytesPerS: 3e9 };
    const rates = { prefillTokensPerS: 10_000, decodeTokensPerS: 1_000 };
    const cost = sharingCost(workload, { ...machinery, ...rates }, { gpuHour: 2, gibMonth: 0, networkGib: 0 });
    expect(cost.savedTokensPerMonth / cost.promptTokensPerMonth).toBeCloseTo(0.5);
    expect(cost.verdict.pays).toBe(true);
  });

  it('is none of a fleet without requests, and not there without the metrics of a coordinator', () => {
    expect(measuredWorkload({ seconds: 1, tokens: { local: 0, remote: 0, computed: 0 } }, 64).shared(1)).toBe(0);
    expect(measuredIn('up 1\n', 5)).toBeNull();
  });
});
