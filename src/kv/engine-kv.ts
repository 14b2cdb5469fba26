import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Corrupt, InvalidRequest, Refused, Unavailable } from '../errors.js';
import {
  EnginePrefix,
  type EngineWriteHead,
  HEAD_BYTES,
  HEAD_LENGTH_BYTES,
  headFrame,
  MEMBER_HEADER,
  memberCode,
} from './engine-frames.js';
import type { HttpAnswer } from './http-exchange.js';
import type { KVLayer, KVTensor } from './kv-tensor.js';
import type { ObjectApi } from './object-api.js';
import type { KVPrefix } from './prefix-hash.js';

/**
 * The K/V that the fleet's own engine computed, as tensors `[heads, tokens, channels]`. A prefix is a text, which the fleet's tokenizer reads as it reads a
 * prompt, token ids, or the key of a block, for the prefix that ends with this block (docs/KEYS.md).
 */

const BYTES_OF = { float32: 4, float16: 2, bfloat16: 2, int8: 1, uint8: 1, float8e4m3fn: 1, float8e5m2: 1 } as const;
const LAYOUT = 'htd';
const Written = z.object({ blocks: z.int().min(0) });

/** Separates callers' prompts further, as the field `cache_salt` of requests. */
export interface EngineKVOptions {
  readonly cacheSalt?: string;
}

/** What the fleet's engine has of a prefix. */
export interface EngineHolding {
  /** The model, its tokenizer and the form of its K/V, as the fleet's members agree on it. */
  readonly fingerprint: string;
  /** Tokens with K/V, from the first one on: whole blocks. */
  readonly tokens: number;
  readonly blockTokens: number;
  readonly layers: number;
  readonly dtype: string;
  /** The keys of the blocks of these tokens. */
  readonly keys: readonly string[];
}

/** How many heads and channels a tensor has. */
type HeadShape = readonly [heads: number, channels: number];

export class EngineKV {
  constructor(
    private readonly api: ObjectApi,
    private readonly secret: string | null,
    /** Layers of one request have at most as many bytes, unless it is a single one. */
    private readonly requestBytes: number,
  ) {}

  /** What the fleet has of a prefix. Rejects with `Unavailable` if it does not answer, and with `InvalidRequest` for a prefix that it does not accept. */
  async find(prefix: KVPrefix, options: EngineKVOptions = {}): Promise<EngineHolding> {
    return holdingOf(await this.ask(prefix, options));
  }

  /** How many of the first tokens of a prompt have K/V in the fleet, by the chained keys of its blocks; 0 for none. Rejects as `find` does. */
  async longestPrefix(prefix: KVPrefix, options: EngineKVOptions = {}): Promise<number> {
    return (await this.ask(prefix, options)).tokens;
  }

  /** K and V of a layer, of as many tokens of the prefix as `find` says; null for none. Rejects as `find` does. */
  async get(prefix: KVPrefix, layer: number, options: EngineKVOptions = {}): Promise<KVLayer | null> {
    const [read = null] = await this.read(prefix, [layer, layer + 1], options);
    return read;
  }

  /** All layers, in order, of the same tokens, which are those that the fleet has when it begins; none if it has none. Rejects as `find` does. */
  async *getLayers(prefix: KVPrefix, options: EngineKVOptions = {}): AsyncGenerator<KVLayer> {
    const found = await this.ask(prefix, options);
    const layers = found.shapes.length / 2;
    const layerBytes = Math.ceil((found.block_bytes * found.keys.length) / layers);
    const atOnce = Math.max(1, Math.floor(this.requestBytes / Math.max(1, layerBytes)));
    // The same blocks, whatever the engine computes meanwhile.
    const last = found.keys.at(-1);
    for (let from = 0; from < layers && last !== undefined; from += atOnce) {
      const read = await this.read({ key: last }, [from, Math.min(layers, from + atOnce)], options);
      if (read.length === 0) throw new Unavailable('the fleet has lost K/V while it was being read; read it again');
      yield* read;
    }
  }

  /**
   * Writes K/V of all layers into the cache of the fleet's engine, whose next request with this prompt then uses it: of the full blocks of these tokens.
   * Returns the number of tokens whose blocks a home has taken. Only members write: the option `secret` is needed. The fleet checks the digest and the
   * fingerprint. Rejects with `Refused` without the right secret, with `InvalidRequest` for K/V of another model or shape, else as `find` does.
   */
  async put(
    tokens: readonly number[],
    layers: readonly KVLayer[],
    options: EngineKVOptions & { readonly fingerprint?: string } = {},
  ): Promise<number> {
    if (this.secret === null) throw new Refused('secret: is required to write K/V into the cache of the engine');
    const about = await this.ask(tokens, options);
    const bytes = blocksOf(layers, tokens.length, about);
    const blocks = Math.floor(tokens.length / about.block_tokens);
    if (blocks === 0) return 0;
    const head: EngineWriteHead = {
      fingerprint: options.fingerprint ?? about.fingerprint,
      tokens: [...tokens],
      ...(options.cacheSalt !== undefined && { cache_salt: options.cacheSalt }),
      ...{ first: 0, blocks, sha256: createHash('sha256').update(bytes).digest('hex') },
    };
    const frame = headFrame(head);
    const code = memberCode(this.secret, frame.subarray(HEAD_LENGTH_BYTES));
    const headers = { [MEMBER_HEADER]: code, 'content-type': 'application/octet-stream' };
    const answer = await this.api.send({ method: 'PUT', path: '', headers, body: [frame, bytes] });
    return Written.parse(answer.json()).blocks * about.block_tokens;
  }

  /** Closes the connections that are idle. */
  close(): void {
    this.api.close();
  }

  private async ask(prefix: KVPrefix, options: EngineKVOptions): Promise<EnginePrefix> {
    return EnginePrefix.parse((await this.post('/find', fieldsOf(prefix, options))).json());
  }

  private post(path: string, body: object): Promise<HttpAnswer> {
    const headers = { 'content-type': 'application/json' };
    return this.api.send({ method: 'POST', path, headers, body: [Buffer.from(JSON.stringify(body))] });
  }

  private async read(prefix: KVPrefix, layers: [number, number], options: EngineKVOptions): Promise<KVLayer[]> {
    const { bytes } = await this.post('', { ...fieldsOf(prefix, options), layers });
    const length = bytes.byteLength < HEAD_LENGTH_BYTES ? 0 : bytes.readUInt32LE();
    if (length === 0 || length > HEAD_BYTES) throw new Corrupt('the fleet answered without the head of K/V');
    const start = HEAD_LENGTH_BYTES + length;
    const head = EnginePrefix.parse(JSON.parse(bytes.toString('utf8', HEAD_LENGTH_BYTES, start)));
    return layersIn(bytes.subarray(start), head, layers);
  }
}

function fieldsOf(prefix: KVPrefix, { cacheSalt }: EngineKVOptions): object {
  const salt = cacheSalt === undefined ? {} : { cache_salt: cacheSalt };
  if (typeof prefix === 'string') return { prompt: prefix, ...salt };
  return 'key' in prefix ? { key: prefix.key, ...salt } : { tokens: prefix, ...salt };
}

function holdingOf({
  fingerprint,
  tokens,
  block_tokens: blockTokens,
  shapes,
  dtype,
  keys,
}: EnginePrefix): EngineHolding {
  return { fingerprint, tokens, blockTokens, layers: shapes.length / 2, dtype, keys };
}

/** The size of an element. @throws InvalidRequest for an element type that is not known */
function elementBytes(dtype: string): number {
  if (Object.hasOwn(BYTES_OF, dtype)) return BYTES_OF[dtype as keyof typeof BYTES_OF];
  throw new InvalidRequest(`dtype: must be one of ${Object.keys(BYTES_OF).join(', ')}, got ${dtype}`);
}

/** The layers in the parts of blocks, which come one after another. */
function layersIn(bytes: Buffer, head: EnginePrefix, [from, to]: [number, number]): KVLayer[] {
  const { tokens, keys, block_tokens: blockTokens, dtype } = head;
  const shapes = head.shapes.slice(2 * from, 2 * to);
  const size = elementBytes(dtype);
  const partBytes = shapes.reduce((sum, [heads, channels]) => sum + heads * blockTokens * channels * size, 0);
  if (bytes.byteLength !== keys.length * partBytes) {
    throw new Corrupt(
      `the K/V of ${keys.length} blocks has ${bytes.byteLength} bytes, and should have ${keys.length * partBytes}`,
    );
  }
  if (keys.length === 0) return [];
  let at = 0;
  const tensors = shapes.map(([heads, channels]): KVTensor => {
    const rowBytes = blockTokens * channels * size;
    const joined = Buffer.allocUnsafe(heads * tokens * channels * size);
    for (let block = 0; block < keys.length; block++) {
      for (let head = 0; head < heads; head++) {
        const row = block * partBytes + at + head * rowBytes;
        bytes.copy(joined, (head * keys.length + block) * rowBytes, row, row + rowBytes);
      }
    }
    at += heads * rowBytes;
    return { dtype, shape: [heads, tokens, channels], layout: LAYOUT, bytes: joined };
  });
  return Array.from({ length: to - from }, (_, layer) => ({ k: tensors[2 * layer]!, v: tensors[2 * layer + 1]! }));
}

/** The bytes of the full blocks of some tokens. @throws InvalidRequest for tensors of another form than the fleet's */
function blocksOf(layers: readonly KVLayer[], tokens: number, about: EnginePrefix): Buffer {
  const { shapes, block_tokens: blockTokens, block_bytes: blockBytes, dtype } = about;
  const size = elementBytes(dtype);
  const tensors = layers.flatMap(({ k, v }) => [k, v]);
  if (tensors.length !== shapes.length) {
    throw new InvalidRequest(`layers: the fleet's model has ${shapes.length / 2}, got ${layers.length}`);
  }
  if (shapes.reduce((sum, [heads, channels]) => sum + heads * channels * blockTokens * size, 0) !== blockBytes) {
    throw new InvalidRequest('layers: the blocks of this model have states besides K/V, which cannot be written');
  }
  const blocks = Math.floor(tokens / blockTokens);
  const bytes = Buffer.allocUnsafe(blocks * blockBytes);
  let at = 0;
  for (const [index, shape] of shapes.entries()) {
    const tensor = tensors[index]!;
    const has = checkedTokens(tensor, shape, blocks * blockTokens, dtype);
    const [heads, channels] = shape;
    const rowBytes = blockTokens * channels * size;
    for (let block = 0; block < blocks; block++) {
      for (let head = 0; head < heads; head++) {
        const from = (head * has + block * blockTokens) * channels * size;
        bytes.set(tensor.bytes.subarray(from, from + rowBytes), block * blockBytes + at + head * rowBytes);
      }
    }
    at += heads * rowBytes;
  }
  return bytes;
}

/** The tokens of a tensor. */
function checkedTokens(
  { dtype, shape, layout, bytes }: KVTensor,
  [heads, channels]: HeadShape,
  least: number,
  wanted: string,
): number {
  const [itsHeads, tokens = 0, itsChannels] = shape;
  const right =
    shape.length === 3 && itsHeads === heads && itsChannels === channels && tokens >= least && dtype === wanted;
  const whole = bytes.byteLength === heads * tokens * channels * elementBytes(wanted);
  if (right && whole && (layout ?? LAYOUT) === LAYOUT) return tokens;
  throw new InvalidRequest(
    `layers: each tensor must be ${wanted} of the shape [${heads}, ${least} or more, ${channels}] in the layout ${LAYOUT}, got ${dtype} [${shape.join(', ')}] with ${bytes.byteLength} bytes`,
  );
}
