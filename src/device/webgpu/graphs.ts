import { ELEMENT_BYTES, type KvLayout } from '../../core/kv-layout.js';
import { Refused } from '../../errors.js';
import { smallModel } from '../../model/onnx/small-model.js';

/**
 * The graphs that copy K/V within a WebGPU device, where tensors cannot start inside a buffer.
 *
 * They copy 32-bit integers for any element type, so every bit is preserved. A buffer is a tensor `[pieces, pieceWords]`, and a copy
 * gathers or scatters a list of pieces. They use only operators that the provider supports for integers: Gather, ScatterND, Concat, Add.
 */

/** Possible sizes of a piece, which one shader invocation copies, largest first. */
const PIECE_WORDS = [16, 8, 4, 2, 1] as const;

/** A K/V layout in words and pieces. */
export interface WordLayout {
  readonly tensors: number;
  readonly kvHeads: number;
  readonly blockTokens: number;
  readonly pieceWords: number;
  /** Pieces of one head's K or V of one token. */
  readonly piecesPerToken: number;
}

/** Throws `Refused` if one head's K or V of one token is not a whole number of words. */
export function wordLayout({ layers, kvHeads, headDim, blockTokens, elementType }: KvLayout): WordLayout {
  const bytes = headDim * ELEMENT_BYTES[elementType];
  if (bytes % 4 !== 0) {
    throw new Refused(
      `cannot run this model on the webgpu device: ${headDim} ${elementType} per head are not a multiple of 4 bytes; use --device cpu`,
    );
  }
  const tokenWords = bytes / 4;
  const pieceWords = PIECE_WORDS.find((words) => tokenWords % words === 0)!;
  return {
    tensors: 2 * layers,
    kvHeads,
    blockTokens,
    pieceWords,
    piecesPerToken: tokenWords / pieceWords,
  };
}

const each = <T>(words: WordLayout, make: (tensor: number) => T): T[] =>
  Array.from({ length: words.tensors }, (_, tensor) => make(tensor));

/**
 * Computes the indices of pieces, `places [kvHeads, count, 2]`, from the index of each head's first piece, `heads [kvHeads, 1, 2]`, and the
 * numbers `[0, count)`, `numbers [count, 2]`. All are int32 pairs (low, high), which are int64 in memory.
 */
export function placesGraph({ kvHeads }: WordLayout): Uint8Array {
  return smallModel({
    inputs: [
      { name: 'heads', type: 'int32', dims: [kvHeads, 1, 2] },
      { name: 'numbers', type: 'int32', dims: ['count', 2] },
    ],
    outputs: [{ name: 'places', type: 'int32', dims: [kvHeads, 'count', 2] }],
    constants: {},
    nodes: [{ op: 'Add', inputs: ['heads', 'numbers'], outputs: ['places'] }],
  });
}

/** Gathers the pieces `places` of each `kv` tensor into `block`, one tensor after another. */
export function cutGraph(words: WordLayout): Uint8Array {
  const pieces = blockPieces(words);
  return smallModel({
    inputs: [{ name: 'places', type: 'int64', dims: [1, pieces] }, ...kvValues(words, 'kv')],
    outputs: [{ name: 'block', type: 'int32', dims: [words.tensors, pieces, words.pieceWords] }],
    constants: {},
    nodes: [
      ...each(words, (n) => ({ op: 'Gather', inputs: [`kv.${n}`, 'places'], outputs: [`part.${n}`] })),
      { op: 'Concat', inputs: each(words, (n) => `part.${n}`), outputs: ['block'], attributes: { axis: 0n } },
    ],
  });
}

/** Scatters each tensor's part of `block` into the `into` tensors, at the pieces `places`. */
export function joinGraph(words: WordLayout): Uint8Array {
  const pieces = blockPieces(words);
  return smallModel({
    inputs: [
      { name: 'block', type: 'int32', dims: [words.tensors, pieces, words.pieceWords] },
      { name: 'places', type: 'int64', dims: [1, pieces, 1] },
      ...kvValues(words, 'into'),
    ],
    outputs: kvValues(words, 'written'),
    constants: Object.fromEntries(each(words, (n) => [`tensor.${n}`, [n]])),
    nodes: each(words, (n) => [
      { op: 'Gather', inputs: ['block', `tensor.${n}`], outputs: [`part.${n}`] },
      { op: 'ScatterND', inputs: [`into.${n}`, 'places', `part.${n}`], outputs: [`written.${n}`] },
    ]).flat(),
  });
}

/** Copies the pieces `from` of the `kv` tensors into the `into` tensors, at the pieces `places`. */
export function moveGraph(words: WordLayout): Uint8Array {
  return smallModel({
    inputs: [
      { name: 'from', type: 'int64', dims: [1, 'pieces'] },
      { name: 'places', type: 'int64', dims: [1, 'pieces', 1] },
      ...kvValues(words, 'kv'),
      ...kvValues(words, 'into'),
    ],
    outputs: kvValues(words, 'written'),
    constants: {},
    nodes: each(words, (n) => [
      { op: 'Gather', inputs: [`kv.${n}`, 'from'], outputs: [`part.${n}`] },
      { op: 'ScatterND', inputs: [`into.${n}`, 'places', `part.${n}`], outputs: [`written.${n}`] },
    ]).flat(),
  });
}

/** The number of pieces of one tensor's part of a block. */
export function blockPieces({ kvHeads, blockTokens, piecesPerToken }: WordLayout): number {
  return kvHeads * blockTokens * piecesPerToken;
}

function kvValues(words: WordLayout, name: string) {
  return each(words, (n) => ({ name: `${name}.${n}`, type: 'int32' as const, dims: ['all', words.pieceWords] }));
}
