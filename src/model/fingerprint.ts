import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { KvLayout } from '../core/kv-layout.js';
import { CachedBlob } from './cached-blob.js';
import type { ModelFolder } from './folder.js';

const TAG = 'shoal/model/1';

/**
 * The fingerprint of a model: equal in two workers exactly if each can use the other's K/V.
 *
 * It is SHA-256, as 64 lower-case hex digits, over these fields in order, each preceded by its length in bytes as a little-endian uint32:
 *
 * 1. `shoal/model/1` in ASCII: the version of this format;
 * 2. SHA-256 of the graph's file, 32 bytes;
 * 3. SHA-256 of each of its external data files, 32 bytes each, concatenated in the order of the UTF-16 code units of their names
 *    (empty if there are none);
 * 4. SHA-256 of tokenizer.json, 32 bytes;
 * 5. K/V shape: `layers,kvHeads,headDim` as ASCII decimals, such as `12,4,64`; if K and V differ in size, then also `,kvHeads,headDim` of
 *    each tensor;
 * 6. K/V element type in ASCII, such as `float32`, `float16` or `int8`;
 * 7. tokens per block as an ASCII decimal, such as `64`.
 *
 * Files are read as streams.
 * @throws Corrupt for a blob of the hub's cache whose bytes do not match its name
 */
export async function modelFingerprint(folder: ModelFolder, layout: KvLayout): Promise<string> {
  const { digests } = await weightDigests(folder);
  const fields = [
    TAG,
    digests[0]!,
    Buffer.concat(digests.slice(1)),
    await fileDigest(folder.tokenizerPath),
    shapeField(layout),
    layout.elementType,
    String(layout.blockTokens),
  ];
  const hash = createHash('sha256');
  for (const field of fields.map((value) => Buffer.from(value))) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(field.length);
    hash.update(length).update(field);
  }
  return hash.digest('hex');
}

interface WeightDigests {
  /** SHA-256 of the graph's file, and of each external data file in the order of their names. */
  readonly digests: readonly Buffer[];
  /** The size of these files together. */
  readonly byteLength: number;
}

const computed = new WeakMap<ModelFolder, Promise<WeightDigests>>();

/** The digests of the files with a model's weights. They are computed once for each opened folder. @throws Corrupt as `modelFingerprint` does */
export function weightDigests(folder: ModelFolder): Promise<WeightDigests> {
  const known = computed.get(folder) ?? computeDigests(folder);
  computed.set(folder, known);
  return known;
}

async function computeDigests({ graphPath, externalDataFiles }: ModelFolder): Promise<WeightDigests> {
  const digests: Buffer[] = [];
  let byteLength = 0;
  for (const path of [graphPath, ...externalDataFiles]) {
    digests.push(await fileDigest(path));
    byteLength += (await stat(path)).size;
  }
  return { digests, byteLength };
}

function shapeField({ layers, kvHeads, headDim, uneven = [] }: KvLayout): string {
  return [layers, kvHeads, headDim, ...uneven.flatMap((shape) => [shape.kvHeads, shape.headDim])].join();
}

/** @throws Corrupt for a blob of the hub's cache whose bytes do not match its name */
async function fileDigest(path: string): Promise<Buffer> {
  const hash = createHash('sha256');
  const blob = await CachedBlob.at(path);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Uint8Array);
    blob?.update(chunk as Uint8Array);
  }
  const digest = hash.digest();
  blob?.requireIntact(() => digest.toString('hex'));
  return digest;
}
