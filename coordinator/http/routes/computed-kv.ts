import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { labelOf } from '../../../src/core/key.js';
import { headShapes, type KvLayout, tensorTokenBytes } from '../../../src/core/kv-layout.js';
import type { Maker } from '../../../src/core/maker.js';
import { saltLabel } from '../../../src/core/salt.js';
import { digestOf } from '../../../src/digest.js';
import {
  type EnginePrefix,
  EngineWriteHead,
  HEAD_BYTES,
  HEAD_LENGTH_BYTES,
  headFrame,
  MEMBER_HEADER,
  memberCode,
} from '../../../src/kv/engine-frames.js';
import type { ObjectBody } from '../../../src/objects/object-node.js';
import type { ObjectValue } from '../../../src/objects/object-value.js';
import type { ValueStaging } from '../../../src/objects/value-staging.js';
import { checkModel } from '../../access/model-access.js';
import { saltOf } from '../../access/principal.js';
import type { ComputedBlock, ComputedKv, OpenedKv } from '../../computed/computed-kv.js';
import { type Layers, sharesOf } from '../../layers/layers.js';
import { layerSalt } from '../../layers/published-prefixes.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { PromptReader } from '../../openai/prompt.js';
import { ExplainRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import type { Router } from '../../router.js';
import { type BytesAnswer, type Exchange, type HttpRoute, type JsonAnswer, json } from '../route.js';
import { textCallerOf } from '../text-caller.js';
import { receive } from '../upload.js';

/** `/v1/cache/kv`: the K/V that the fleet's engine computed, as tensors. Everyone reads the blocks of prompts of their own; members alone write. */

const Prefix = ExplainRequest.extend({
  /** The key of the last block of a prefix, in place of a prompt. */
  key: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
    .optional(),
});
const ReadRequest = Prefix.extend({
  /** The first layer, and the one after the last. Default: all. */
  layers: z.tuple([z.int().min(0), z.int().min(1)]).optional(),
});
type Prefix = z.infer<typeof Prefix>;

export interface ComputedKvDeps {
  readonly computed: ComputedKv;
  readonly router: Pick<Router, 'blocksOf'>;
  readonly fingerprint: string;
  /** The secret of the cluster. */
  readonly secret: string;
  /** This process, which vouches for blocks that it takes from clients. */
  readonly self: Maker;
  readonly staging: ValueStaging;
  /** Limit on the bytes of one write. */
  readonly writeBytes: number;
}

interface Deps extends ComputedKvDeps {
  readonly layers: Layers;
  readonly model: ServedModel;
  readonly prompts: PromptReader;
}

export function computedKvRoutes(deps: Deps): HttpRoute[] {
  const path = '/v1/cache/kv';
  const access = 'key' as const;
  return [
    {
      method: 'POST',
      path: `${path}/find`,
      about: { summary: 'Says how much K/V of a prompt the engine has computed.', body: Prefix },
      access,
      handle: async (exchange) => {
        const found = await find(exchange, checkBody(Prefix, exchange.body), deps);
        return json({ object: 'cache.kv', ...found });
      },
    },
    {
      method: 'POST',
      path,
      about: {
        summary: 'Reads K/V that the engine has computed.',
        body: ReadRequest,
        answers: { 200: ['application/octet-stream'] },
      },
      access,
      handle: (exchange) => read(exchange, deps),
    },
    {
      method: 'PUT',
      path,
      about: {
        summary: 'Writes K/V into the cache of the engine, for members.',
        answers: { 201: ['application/json'] },
      },
      access,
      uploadBytes: deps.writeBytes,
      handle: (exchange) => write(exchange, deps),
    },
  ];
}

/** The keys of a prefix that the fleet has, and their form. */
async function find(exchange: Exchange, request: Prefix, deps: Deps): Promise<EnginePrefix> {
  const { computed, fingerprint } = deps;
  const { blockTokens, elementType } = computed.layout;
  const { keys, promptTokens } = await keysOf(exchange, request, deps);
  const held = keys.slice(0, computed.held(keys));
  return {
    fingerprint,
    prompt_tokens: promptTokens,
    tokens: held.length * blockTokens,
    block_tokens: blockTokens,
    dtype: elementType,
    shapes: headShapes(computed.layout).map(({ kvHeads, headDim }) => [kvHeads, headDim]),
    block_bytes: computed.blockBytes,
    keys: held,
  };
}

async function keysOf(exchange: Exchange, request: Prefix, { computed, router, layers, model, prompts }: Deps) {
  const { principal } = exchange;
  const adapter = checkModel(model, request.model, principal);
  const { key, cache_salt: cacheSalt } = request;
  if (key !== undefined) {
    checkAlone(request);
    const salts = [saltOf(principal, cacheSalt) ?? '', ...sharesOf(principal).map(layerSalt)];
    // A key of another caller's salt is as good as unknown.
    const known = salts.some((salt) => saltLabel(salt) === labelOf(key)) ? await computed.chainOf(key) : null;
    return { keys: known ?? [], promptTokens: null };
  }
  const { tokens } = await prompts.readPrompt(request, request, textCallerOf(exchange));
  const salt = layers.saltFor(tokens, principal, cacheSalt);
  return { keys: router.blocksOf(tokens, salt, adapter).map((block) => block.key), promptTokens: tokens.length };
}

function checkAlone({ prompt, messages, tokens }: Prefix): void {
  if (prompt === undefined && messages === undefined && tokens === undefined) return;
  throw new ApiError(400, 'key: cannot be combined with prompt, messages or tokens', { param: 'key' });
}

async function read(exchange: Exchange, deps: Deps): Promise<BytesAnswer> {
  const { computed } = deps;
  const request = checkBody(ReadRequest, exchange.body);
  const [from, to] = layersOf(request.layers, computed.layout);
  const found = await find(exchange, request, deps);
  const opened = await computed.open(found.keys, exchange.signal);
  const { blocks } = opened;
  const there = { ...found, tokens: blocks * found.block_tokens, keys: found.keys.slice(0, blocks) };
  const head = headFrame({ ...there, layers: [from, to] } satisfies EnginePrefix);
  const [start, end] = [tensorsBytes(computed.layout, 2 * from), tensorsBytes(computed.layout, 2 * to)];
  const bytes = head.byteLength + blocks * (end - start);
  return {
    kind: 'bytes',
    status: 200,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(bytes) },
    body: bodyOf(head, opened, [start, end]),
  };
}

function layersOf(asked: [number, number] | undefined, { layers }: KvLayout): [number, number] {
  const [from, to] = asked ?? [0, layers];
  if (from < to && to <= layers) return [from, to];
  throw new ApiError(
    400,
    `layers: must be the first layer and the one after the last, of ${layers}, got ${from} and ${to}`,
    {
      param: 'layers',
    },
  );
}

/** The bytes of the first tensors of a block. */
function tensorsBytes(layout: KvLayout, tensors: number): number {
  return headShapes(layout)
    .slice(0, tensors)
    .reduce((sum, shape) => sum + layout.blockTokens * tensorTokenBytes(shape, layout.elementType), 0);
}

/** The head, then a part of each block. */
function bodyOf(head: Buffer, blocks: OpenedKv, [start, end]: [number, number]): ObjectBody {
  let begun = false;
  const release = () => {};
  return {
    next: async () => {
      if (!begun) {
        begun = true;
        return { bytes: head, release };
      }
      const next = await blocks.next();
      return next && { bytes: Buffer.from(next.bytes.buffer, next.bytes.byteOffset + start, end - start), release };
    },
    close: () => blocks.close(),
  };
}

async function write(exchange: Exchange, deps: Deps): Promise<JsonAnswer> {
  const value = await receive(exchange.upload!, deps.writeBytes, deps.staging, null);
  try {
    const { head, start } = checkedHead(exchange, value, deps);
    const blocks = blocksOf(exchange, head, value, start, deps);
    const stored = await deps.computed.write(blocks);
    return json({ object: 'cache.kv.written', blocks: stored, keys: blocks.map(({ block }) => block.key) }, 201);
  } finally {
    value.release();
  }
}

/** The head of a write by a member, for this fleet, and the place of the bytes after it. */
function checkedHead(exchange: Exchange, value: ObjectValue, { secret, fingerprint }: Deps) {
  const length = value.bytes < HEAD_LENGTH_BYTES ? 0 : value.copy(0, HEAD_LENGTH_BYTES).readUInt32LE();
  const start = HEAD_LENGTH_BYTES + length;
  if (length === 0 || length > HEAD_BYTES || start > value.bytes) {
    throw new ApiError(400, `body: must begin with the length of a head of at most ${HEAD_BYTES} bytes, and the head`);
  }
  const bytes = value.copy(HEAD_LENGTH_BYTES, start);
  const code = Buffer.from(exchange.header(MEMBER_HEADER) ?? '', 'hex');
  const expected = Buffer.from(memberCode(secret, bytes), 'hex');
  if (code.byteLength !== expected.byteLength || !timingSafeEqual(code, expected)) {
    throw new ApiError(
      403,
      `${MEMBER_HEADER}: only members write K/V; the code of the head under the secret of the cluster is required`,
      {
        code: 'not_a_member',
      },
    );
  }
  const head = checkBody(EngineWriteHead, parsed(bytes));
  if (head.fingerprint !== fingerprint) {
    throw new ApiError(409, `fingerprint: the K/V is of ${head.fingerprint}, and this fleet is ${fingerprint}`, {
      param: 'fingerprint',
      code: 'fingerprint_mismatch',
    });
  }
  return { head, start };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new ApiError(400, 'body: its head is not JSON');
  }
}

/** The blocks of a write, if their bytes are those of its digest. */
function blocksOf(
  { principal }: Exchange,
  { tokens, cache_salt: cacheSalt, first, blocks, sha256 }: EngineWriteHead,
  value: ObjectValue,
  start: number,
  { computed, router, layers, self }: Deps,
): ComputedBlock[] {
  const { blockBytes } = computed;
  const due = start + blocks * blockBytes;
  if (value.bytes !== due) {
    throw new ApiError(400, `body: must have ${due} bytes with ${blocks} blocks of ${blockBytes}, got ${value.bytes}`);
  }
  const named = router.blocksOf(
    Uint32Array.from(tokens),
    layers.saltFor(Uint32Array.from(tokens), principal, cacheSalt),
  );
  if (first + blocks > named.length) {
    throw new ApiError(
      400,
      `tokens: have ${named.length} full blocks, and block ${first + blocks - 1} is to be written`,
      { param: 'tokens' },
    );
  }
  const hash = createHash('sha256');
  for (const piece of value.pieces(start)) hash.update(piece);
  if (hash.digest('hex') !== sha256) {
    throw new ApiError(422, 'sha256: the bytes of the blocks have another digest; send them again', {
      param: 'sha256',
      code: 'digest_mismatch',
    });
  }
  return named.slice(first, first + blocks).map((meta, at) => {
    const bytes = value.copy(start + at * blockBytes, start + (at + 1) * blockBytes);
    return { block: { ...meta, digest: digestOf(bytes), maker: self }, bytes };
  });
}
