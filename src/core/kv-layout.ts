import { InternalError } from '../errors.js';

/** The shape and element type of a model's K/V, and the sizes that follow from them. */

export type FloatType = 'float32' | 'float16' | 'bfloat16';

/** The quantized types are opaque: their scales are in the graph. `uint8` may hold two elements of 4 bits. */
export type KvElementType = FloatType | 'int8' | 'uint8' | 'float8e4m3fn' | 'float8e5m2';

export const ELEMENT_BYTES: Record<KvElementType, number> = {
  ...{ float32: 4, float16: 2, bfloat16: 2 },
  ...{ int8: 1, uint8: 1, float8e4m3fn: 1, float8e5m2: 1 },
};

/** The shape `[kvHeads, tokens, headDim]` of K or V of one layer, without its tokens. */
export interface HeadShape {
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The state of a layer that keeps no K/V but a state of constant size, as convolutions and linear attention do: a tensor `[1, ...dims]`. */
export interface StateShape {
  readonly dims: readonly number[];
  readonly elementType: FloatType;
}

/**
 * A block consists of tensors `[kvHeads, blockTokens, headDim]`: K of layer 0, V of layer 0, K of layer 1, ... Where all have the same shape, it
 * is one tensor `[2 x layers, kvHeads, blockTokens, headDim]`. Then come the states of layers without K/V, after the block's last token.
 */
export interface KvLayout extends HeadShape {
  /** The number of layers that have K/V. */
  readonly layers: number;
  /** The shapes of all tensors if they differ, in the order of a block; `kvHeads` and `headDim` then describe the first. */
  readonly uneven?: readonly HeadShape[];
  /** The states of layers without K/V, if there are such layers. */
  readonly states?: readonly StateShape[];
  readonly blockTokens: number;
  readonly elementType: KvElementType;
}

/** The shape of each tensor, in the order of a block. */
export function headShapes({ layers, kvHeads, headDim, uneven }: KvLayout): readonly HeadShape[] {
  return uneven ?? new Array<HeadShape>(2 * layers).fill({ kvHeads, headDim });
}

/** The size of one token's K or V in one layer. */
export function tensorTokenBytes({ kvHeads, headDim }: HeadShape, elementType: KvElementType): number {
  return kvHeads * headDim * ELEMENT_BYTES[elementType];
}

/** The size of one token's K and V in all layers. */
export function tokenBytes(layout: KvLayout): number {
  return headShapes(layout).reduce((sum, shape) => sum + tensorTokenBytes(shape, layout.elementType), 0);
}

/** The size of the state of a layer. */
function stateBytes({ dims, elementType }: StateShape): number {
  return dims.reduce((product, dim) => product * dim, ELEMENT_BYTES[elementType]);
}

/** The size of the states of all layers without K/V, after one token. */
export function statesBytes({ states = [] }: KvLayout): number {
  return states.reduce((sum, state) => sum + stateBytes(state), 0);
}

/** A part of a block whose elements have one type. */
interface BlockPart {
  readonly elementType: KvElementType;
  readonly byteLength: number;
}

/** The parts of a block, in order: K or V of a layer each, then the state of a layer each. */
export function blockParts(layout: KvLayout): readonly BlockPart[] {
  const { blockTokens, elementType, states = [] } = layout;
  const kv = headShapes(layout).map((shape) => ({
    elementType,
    byteLength: blockTokens * tensorTokenBytes(shape, elementType),
  }));
  return [...kv, ...states.map((state) => ({ elementType: state.elementType, byteLength: stateBytes(state) }))];
}

/** The size of one block. */
export function blockBytes(layout: KvLayout): number {
  return blockParts(layout).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Throws `InternalError` unless the bytes have the size of a block. */
export function checkBlockBytes(layout: KvLayout, { byteLength }: Uint8Array): void {
  const expected = blockBytes(layout);
  if (byteLength !== expected) throw new InternalError(`a block must have ${expected} bytes, got ${byteLength}`);
}
