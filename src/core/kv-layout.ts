import { InternalError } from '../errors.js';

/** The shape and element type of a model's K/V, and the sizes that follow from them. */

export type KvElementType = 'float32' | 'float16' | 'bfloat16';

export const ELEMENT_BYTES: Record<KvElementType, number> = { float32: 4, float16: 2, bfloat16: 2 };

/** A block is one tensor `[2 x layers, kvHeads, blockTokens, headDim]`: K of layer 0, V of layer 0, K of layer 1, ... */
export interface KvLayout {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly blockTokens: number;
  readonly elementType: KvElementType;
}

/** The size of one token's K and V in all layers. */
export function tokenBytes(layout: KvLayout): number {
  return 2 * layout.layers * layout.kvHeads * layout.headDim * ELEMENT_BYTES[layout.elementType];
}

/** The size of one block. */
export function blockBytes(layout: KvLayout): number {
  return layout.blockTokens * tokenBytes(layout);
}

/** Throws `InternalError` unless the bytes have the size of a block. */
export function checkBlockBytes(layout: KvLayout, { byteLength }: Uint8Array): void {
  const expected = blockBytes(layout);
  if (byteLength !== expected) throw new InternalError(`a block must have ${expected} bytes, not ${byteLength}`);
}
