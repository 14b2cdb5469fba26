import { describe, expect, it } from 'vitest';
import { choiceOf, nearTie } from '../../../../bench/twins/near-tie.js';

describe('a token that is not the most likely one', () => {
  const logits = (margin: number) => Float32Array.of(3, 3 - margin, -1);
  const step = { float16: 3 * 2 ** -10, float32: 3 * 2 ** -23 };

  it('is a near tie within the rounding of the type, and apart beyond it', () => {
    expect(choiceOf(logits(0.5), 'float16', 0, 0)).toBe('equal');
    expect(choiceOf(logits(0), 'float32', 0, 1)).toBe('near-tie');
    expect(choiceOf(logits(4 * step.float16), 'float16', 0, 1)).toBe('near-tie');
    expect(choiceOf(logits(5 * step.float16), 'float16', 0, 1)).toBe('apart');
    expect(choiceOf(logits(5 * step.float16), 'bfloat16', 0, 1)).toBe('near-tie');
    expect(choiceOf(logits(4 * step.float16), 'float32', 0, 1)).toBe('apart');
  });

  it('is apart if it is no token of the model', () => {
    expect(choiceOf(logits(0), 'float16', 0, -1)).toBe('apart');
    expect(choiceOf(logits(0), 'float16', 0, 3)).toBe('apart');
  });

  it('may differ by the rounding within layers where the steps of the type are finer', () => {
    expect(nearTie('float32', 3)).toBe(1e-5);
    expect(nearTie('float32', 1000)).toBeCloseTo(4 * 1000 * 2 ** -23);
  });
});
