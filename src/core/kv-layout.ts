import { InternalError } from '../errors.js';

/** Shape and element type of a model's K/V, and the bytes that follow from them. */

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

/** Bytes of K and V of all layers for one token. */
export function tokenBytes(layout: KvLayout): number {
  return 2 * layout.layers * layout.kvHeads * layout.headDim * ELEMENT_BYTES[layout.elementType];
}

/** Bytes of one block. */
export function blockBytes(layout: KvLayout): number {
  return layout.blockTokens * tokenBytes(layout);
}

/** Throws `InternalError` if the bytes are not as many as a block has. */
export function checkBlockBytes(layout: KvLayout, { byteLength }: Uint8Array): void {
  const expected = blockBytes(layout);
  if (byteLength !== expected) throw new InternalError(`a block has ${expected} bytes, not ${byteLength}`);
}
