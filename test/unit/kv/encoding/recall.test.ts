import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../../../bench/fleet/recall-sheet.js';
import { blockParts } from '../../../../src/core/kv-layout.js';
import { widen } from '../../../../src/kv/encoding/float-bits.js';
import type { KVEncoding } from '../../../../src/kv/encoding/tensor-encoding.js';
import { packLayer, unpackLayer } from '../../../../src/kv/kv-layer.js';
import type { KVFloat, KVTensor } from '../../../../src/kv/kv-tensor.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { Tokenizer } from '../../../../src/model/tokenizer.js';
import { ask, Rig } from '../../engine/support/rig.js';

/** What each encoding does to the K/V of the trained model, whose answers are right only if the K/V of the notes is. */

const MOST = 2 ** 26;
const UNTIL_END = { maxTokens: 24, ignoreEos: false };
const SHEETS = [recallSheet(12, 1), recallSheet(12, 2)];
const QUESTIONS = SHEETS.flatMap((sheet) =>
  sheet.questions.slice(0, 8).map(({ question }) => recallPrompt(sheet, question)),
);

/** The rig that computed the notes, and one that gets them through an encoding. */
let whole: Rig;
let other: Rig;
let tokenizer: Tokenizer;
let expected: number[][];

beforeAll(async () => {
  const folder = await openModelFolder(fileURLToPath(new URL('../../../../models/recall', import.meta.url)));
  tokenizer = await Tokenizer.load(folder);
  whole = await Rig.open(folder);
  other = await Rig.open(folder);
  expected = await answersOf(whole);
});
afterAll(async () => {
  expect([...(await whole.close()), ...(await other.close())]).toEqual([]);
});

async function answersOf(rig: Rig): Promise<number[][]> {
  const asked = QUESTIONS.map((prompt) => ask(tokenizer.encode(prompt), { stopping: UNTIL_END }));
  const answers = await Promise.all(asked.map((request) => rig.run(request)));
  return answers.map(({ ids }) => ids);
}

/** What an encoding makes of the blocks of the notes. */
interface Outcome {
  /** The root of the mean square of the errors over that of the numbers. */
  readonly error: number;
  /** Bytes of the tensors over the bytes that are stored. */
  readonly ratio: number;
  /** The share of the greedy answers that are the same, token for token. */
  readonly same: number;
}

async function outcomeOf(encoding: KVEncoding): Promise<Outcome> {
  const sums = { error: 0, signal: 0, raw: 0, stored: 0 };
  const { layout } = whole.device;
  const shape = [layout.kvHeads, layout.blockTokens, layout.headDim];
  const tensorOf = (bytes: Uint8Array): KVTensor => ({ dtype: layout.elementType, shape, layout: 'htd', bytes });
  other.cache.clear();
  await other.cache.copyFrom(whole.cache, async (block) => {
    const changed = new Uint8Array(block.length);
    let at = 0;
    for (let layer = 0; layer < layout.layers; layer++) {
      const size = blockParts(layout)[2 * layer]!.byteLength;
      const [k, v] = [block.subarray(at, at + size), block.subarray(at + size, at + 2 * size)].map(tensorOf);
      const stored = Buffer.concat(await packLayer({ k: k!, v: v! }, encoding));
      const back = await unpackLayer(stored, MOST);
      sums.stored += stored.byteLength;
      for (const [before, after] of [
        [k!, back.k],
        [v!, back.v],
      ] as const) {
        const [own, read] = [before, after].map(({ dtype, bytes }) => widen(dtype as KVFloat, bytes));
        own!.forEach((value, i) => {
          sums.signal += value ** 2;
          sums.error += (value - read![i]!) ** 2;
        });
        changed.set(after.bytes, at);
        at += size;
        sums.raw += size;
      }
    }
    return changed;
  });
  const before = other.engine.stats().promptTokens.local;
  const answers = await answersOf(other);
  expect(other.engine.stats().promptTokens.local).toBeGreaterThan(before);
  const same = answers.filter((ids, i) => ids.join() === expected[i]!.join()).length;
  return {
    error: Math.sqrt(sums.error / sums.signal),
    ratio: sums.raw / sums.stored,
    same: same / answers.length,
  };
}

/** The greatest error, the least ratio and the least share of equal answers. */
const BOUNDS: [name: string, encoding: KVEncoding, error: number, ratio: number, same: number][] = [
  ['as it is', {}, 0, 0.99, 1],
  ['lz4', { compression: 'lz4' }, 0, 1.1, 1],
  ['zstd', { compression: 'zstd' }, 0, 1.1, 1],
  ['float16', { cast: 'float16' }, 0.0003, 1.95, 0.9],
  ['bfloat16', { cast: 'bfloat16' }, 0.002, 1.95, 0.9],
  ['int8', { cast: 'int8' }, 0.007, 3.6, 0.9],
  ['float8e4m3fn', { cast: 'float8e4m3fn' }, 0.03, 3.9, 0.9],
  ['int8, zstd', { cast: 'int8', compression: 'zstd' }, 0.007, 3.9, 0.9],
];

it.each(BOUNDS)('%s keeps the K/V of the notes within its bounds', async (name, encoding, error, ratio, same) => {
  const outcome = await outcomeOf(encoding);
  const printed = [outcome.error.toFixed(4), outcome.ratio.toFixed(2), `${100 * outcome.same} %`];
  console.info(`| ${[name, ...printed].join(' | ')} |`);
  expect(outcome.error).toBeLessThanOrEqual(error);
  expect(outcome.ratio).toBeGreaterThanOrEqual(ratio);
  expect(outcome.same).toBeGreaterThanOrEqual(same);
});
