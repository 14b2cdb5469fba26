import { describe, expect, it } from 'vitest';
import { formatModels, type ModelRow, rowHolds, sharePassed, verdictOn } from '../../../bench/models-table.js';
import type { Compared } from '../../../bench/twins/plain-decoder.js';

const equal = { kind: 'equal', tokens: 2, nearTies: 0 } as const;
const apart = { kind: 'apart', at: 1, expected: 7, got: 8 } as const;
const token = (choice: Compared['choice']): Compared => ({ best: 7, got: choice === 'equal' ? 7 : 8, choice });
const loading = { kind: 'loaded', appends: 'in place', kv: '2 x 16 float32' } as const;
const row = (architecture: string, rest: Pick<ModelRow, 'loading' | 'answers'>): ModelRow => ({
  ...{ architecture, exporter: 'optimum', dtype: 'fp32' },
  ...{ ...rest, holds: rowHolds(rest) },
});

describe('the comparison of models', () => {
  it('finds the first token that differs, counts near ties, and takes no short answer', () => {
    const right = [token('equal'), token('near-tie')];
    expect(verdictOn([right, right], 2)).toEqual({ kind: 'equal', tokens: 4, nearTies: 2 });
    expect(verdictOn([right, [token('equal'), token('apart')]], 2)).toEqual(apart);
    expect(() => verdictOn([right.slice(1)], 2)).toThrow('1 tokens, not 2');
  });

  it('fails for one way that differs, and for a refusal that nobody expects', () => {
    const answers = { cold: equal, local: equal, remote: equal, batched: equal };
    expect(rowHolds({ loading, answers })).toBe(true);
    expect(rowHolds({ loading, answers: { ...answers, remote: apart } })).toBe(false);
    expect(rowHolds({ loading: { kind: 'refused', reason: 'why', expected: true }, answers: null })).toBe(true);
    expect(rowHolds({ loading: { kind: 'refused', reason: 'why', expected: false }, answers: null })).toBe(false);
  });

  it('is a table, with the reasons of refusals below', () => {
    const rows = [
      row('GPT-2', {
        loading,
        answers: { cold: equal, local: { ...equal, nearTies: 1 }, remote: apart, batched: equal },
      }),
      row('LFM2', { loading: { kind: 'refused', reason: 'it has a state', expected: true }, answers: null }),
    ];
    const ratios = [sharePassed(rows)];
    expect(ratios).toMatchObject([{ value: 0.5, holds: false }]);
    expect(
      formatModels({ name: 'models', machine: 'a machine', answerTokens: 2, rows, ratios }),
    ).toMatchInlineSnapshot(`
      "models on a machine
      tokens of answers of 2, compared with the most likely ones by plain ONNX Runtime on the same file
      near: a token as likely as the most likely one within the rounding of the type of the logits

      architecture  exporter  dtype  loads                     cold     local            remote      batched
      GPT-2         optimum   fp32   in place, 2 x 16 float32  2 equal  2 equal, 1 near  APART at 1  2 equal
      LFM2          optimum   fp32   refused

      LFM2: it has a state
      1 of 2 rows DIFFER"
    `);
  });
});
