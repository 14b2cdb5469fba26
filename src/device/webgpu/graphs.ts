import { ELEMENT_BYTES, type KvLayout } from '../../core/kv-layout.js';
import { Refused } from '../../errors.js';
import { smallModel } from '../../model/onnx/small-model.js';

/**
 * Graphs that copy K/V within a WebGPU device, where memory can be addressed by whole buffers only. They move words of 32 bits, whatever the
 * element type: no number is looked at, so that every bit arrives. To them a buffer is `[pieces, pieceWords]`, and what is copied is a list of
 * pieces. Operators are those that the provider has for integers (Gather, ScatterND, Concat, Add), each element or piece by one invocation.
 */

/** Words that one invocation copies. */
const PIECE_WORDS = [16, 8, 4, 2, 1] as const;

/** How a layout's K/V is counted in words and pieces. */
export interface WordLayout {
  readonly tensors: number;
  readonly kvHeads: number;
  readonly blockTokens: number;
  readonly pieceWords: number;
  /** Of one head of K or V. */
  readonly piecesPerToken: number;
}

/** Throws `Refused` where a token's part is no whole number of words. */
export function wordLayout({ layers, kvHeads, headDim, blockTokens, elementType }: KvLayout): WordLayout {
  const bytes = headDim * ELEMENT_BYTES[elementType];
  if (bytes % 4 !== 0) {
    throw new Refused(
      `the webgpu device serves K/V in whole words of 4 bytes, and a head of this model has ${headDim} ${elementType} a token: run it with --device cpu`,
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
 * Numbers of the pieces of each head's tokens: `places [kvHeads, count, 2]` int32, which is int64 `[kvHeads x count]` in memory, out of the number
 * of each head's first piece `heads [kvHeads, 1, 2]`, and the numbers `[0, count)` as `numbers [count, 2]`, which stay on the device.
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

/** The pieces `places` of every `kv` tensor, one tensor after another: `block`. */
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

/** Writes the parts of `block` into `into` tensors, at `places`. */
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

/** Writes the pieces `from` of `kv` tensors into `into` tensors, at `places`. */
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

/** Pieces of one tensor's part of a block. */
export function blockPieces({ kvHeads, blockTokens, piecesPerToken }: WordLayout): number {
  return kvHeads * blockTokens * piecesPerToken;
}

function kvValues(words: WordLayout, name: string) {
  return each(words, (n) => ({ name: `${name}.${n}`, type: 'int32' as const, dims: ['all', words.pieceWords] }));
}
