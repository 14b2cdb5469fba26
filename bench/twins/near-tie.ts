import type { FloatType } from '../../src/core/kv-layout.js';

/** Tells a token that rounding chose from a wrong one. */

/** The distance from 1 to the next number of a type. */
const STEPS: Record<FloatType, number> = { float32: 2 ** -23, float16: 2 ** -10, bfloat16: 2 ** -7 };
/**
 * How far rounding moves a logit, in steps of its type. ONNX Runtime chooses other kernels and leaves out other conversions for runs of other
 * shapes: with float16, the state before the head is rounded in one graph and not in another.
 */
const ROUNDED_STEPS = 2;
/** Rounding of float32 within the layers, which is more than a step of a logit. */
const LAYERS_ROUNDING = 1e-5;

/** The greatest difference between two logits, the greater being `logit`, at which rounding may decide their order. @internal exported for tests. */
export function nearTie(type: FloatType, logit: number): number {
  return Math.max(LAYERS_ROUNDING, 2 * ROUNDED_STEPS * STEPS[type] * Math.abs(logit));
}

/** How a chosen token compares with the most likely one of ONNX Runtime. */
export type TokenChoice = 'equal' | 'near-tie' | 'apart';

/** @param logits of ONNX Runtime, after the same tokens */
export function choiceOf(logits: Float32Array, type: FloatType, best: number, chosen: number): TokenChoice {
  if (chosen === best) return 'equal';
  const margin = logits[best]! - (logits[chosen] ?? Number.NEGATIVE_INFINITY);
  return margin <= nearTie(type, logits[best]!) ? 'near-tie' : 'apart';
}
