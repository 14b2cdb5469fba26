import { describe, expect, it } from 'vitest';
import { compared, formatModels, type ModelRow, rowHolds } from '../../../bench/models-table.js';

const equal = { kind: 'equal', tokens: 2 } as const;
const apart = { kind: 'apart', at: 1, expected: ['a', 'b'], got: ['a', 'c'] } as const;
const loading = { kind: 'loaded', appends: 'in place', kv: '2 x 16 float32' } as const;
const row = (architecture: string, rest: Pick<ModelRow, 'loading' | 'answers'>): ModelRow => ({
  ...{ architecture, exporter: 'optimum', dtype: 'fp32' },
  ...{ ...rest, holds: rowHolds(rest) },
});

describe('the comparison of models', () => {
  it('finds the first token that differs, and missing ones', () => {
    expect(compared([{ expected: ['a', 'b'], got: ['a', 'b'] }])).toEqual(equal);
    expect(compared([{ ...equal, ...apart }])).toEqual(apart);
    expect(
      compared([
        { expected: ['a'], got: ['a'] },
        { expected: ['a', 'b'], got: ['a'] },
      ]),
    ).toMatchObject({ at: 1 });
    expect(compared([{ expected: ['a'], got: ['a', 'b'] }])).toMatchObject({ kind: 'apart', at: 1 });
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
      row('GPT-2', { loading, answers: { cold: equal, local: equal, remote: apart, batched: equal } }),
      row('LFM2', { loading: { kind: 'refused', reason: 'it has a state', expected: true }, answers: null }),
    ];
    expect(formatModels({ name: 'models', machine: 'a machine', answerTokens: 2, rows })).toMatchInlineSnapshot(`
      "models on a machine
      tokens of answers of 2, compared with plain greedy decoding by ONNX Runtime on the same file

      architecture  exporter  dtype  loads                     cold     local    remote      batched
      GPT-2         optimum   fp32   in place, 2 x 16 float32  2 equal  2 equal  APART at 1  2 equal
      LFM2          optimum   fp32   refused

      LFM2: it has a state
      1 of 2 rows DIFFER"
    `);
  });
});
