import type { KvLayout } from '../core/kv-layout.js';
import { InternalError } from '../errors.js';
import type { Value } from '../ort/value.js';

/** Tokens in the K/V tensors of a graph that hands them on. Throws `InternalError` if they are not `[1, kvHeads, tokens, headDim]`, all alike. */
export function checkLoose({ layers, kvHeads, headDim, elementType }: KvLayout, values: readonly Value[]): number {
  const tokens = values[0]?.shape[2] ?? 0;
  const shape = [1, kvHeads, tokens, headDim];
  const fits = values.every((value) => value.elementType === elementType && String(value.shape) === String(shape));
  if (!fits || values.length !== 2 * layers) {
    throw new InternalError(
      `a loose slot needs ${2 * layers} tensors ${elementType}[1,${kvHeads},tokens,${headDim}], not ${values.map((value) => `${value.elementType}[${value.shape}]`)}`,
    );
  }
  return tokens;
}
