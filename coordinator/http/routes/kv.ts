import { z } from 'zod';
import type { Clock } from '../../../src/clock.js';
import type { CoarseUse } from '../../../src/objects/coarse-use.js';
import type { ObjectInfo, WriteCondition } from '../../../src/objects/object.js';
import { OBJECT_KEY_BYTES, type ObjectName, objectName, POSITIONS } from '../../../src/objects/object-name.js';
import type { ObjectBody, StoreUse } from '../../../src/objects/object-node.js';
import type { ObjectValue } from '../../../src/objects/object-value.js';
import type { Objects } from '../../../src/objects/objects.js';
import { ReadFloors } from '../../../src/objects/read-floors.js';
import { SHARED_TYPE, type SharedOutcome } from '../../../src/objects/shared-object.js';
import type { ValueStaging } from '../../../src/objects/value-staging.js';
import { mayOperate } from '../../access/roles.js';
import { spaceOf } from '../../objects/key-access.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import { type BytesAnswer, type Exchange, type HttpRoute, type JsonAnswer, json, type RouteAbout } from '../route.js';
import { receive } from '../upload.js';
import {
  checkBodyHeaders,
  demandOf,
  expiryOfRequest,
  fieldsOf,
  hasIt,
  headersOf,
  mayRead,
  nameOf,
  queryOf,
  rangeOf,
  sharingHostOf,
  type WriteDemand,
} from './kv-request.js';

/** `/v1/kv`: objects over HTTP. */

/** Keys of one page of a list, and names in one question whether they exist. */
const PAGE_KEYS = 100;
const PAGE_MOST = 1_000;
/** Keys that one request looks through for a prefix. */
const LOOKED_THROUGH = 20_000;
/** Attempts to read a part of an object that others replace. */
const READ_TRIES = 16;

export interface KvDeps {
  readonly objects: Objects;
  /** Limit on the bytes of an object. */
  readonly objectBytes: number;
  readonly staging: ValueStaging;
  /** What users see of the use of memory. */
  readonly coarse: CoarseUse;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

/** An object is sent with the type that its writer gave it. */
const READ = { 200: ['*/*'], 206: ['*/*'], 304: [], 416: [] };
const WRITTEN = { 200: ['application/json'], 201: ['application/json'] };

export function kvRoutes(deps: KvDeps): HttpRoute[] {
  const access = 'key' as const;
  const about = (summary: string, answers?: RouteAbout['answers']) => ({ summary, ...(answers && { answers }) });
  // The second path would otherwise hide the object of this name.
  const onObjects = ['/v1/kv/*', '/v1/kv/exists'].flatMap((path): HttpRoute[] => [
    { method: 'GET', path, about: about('Reads an object.', READ), access, handle: (exchange) => get(exchange, deps) },
    {
      method: 'PUT',
      path,
      about: about('Writes an object: the body is its value.', WRITTEN),
      access,
      uploadBytes: deps.objectBytes,
      handle: (exchange) => put(exchange, deps),
    },
    {
      method: 'DELETE',
      path,
      about: about('Deletes an object.'),
      access,
      handle: (exchange) => remove(exchange, deps),
    },
  ]);
  return [
    ...onObjects,
    {
      method: 'GET',
      path: '/v1/kv',
      about: about('Lists keys, or, with view=memory, shows the memory in use.'),
      access,
      handle: (exchange) => list(exchange, deps),
    },
    {
      method: 'POST',
      path: '/v1/kv/exists',
      about: { summary: 'Tells which objects exist.', body: ExistsRequest },
      access,
      handle: (exchange) => exists(exchange, deps),
    },
  ];
}

async function get(exchange: Exchange, { objects, clock, wallMs }: KvDeps): Promise<BytesAnswer> {
  const { signal } = exchange;
  const name = nameOf(exchange, spaceOf(exchange.principal));
  const host = sharingHostOf(exchange);
  if (host !== null) {
    const outcome = await objects.share(name, host, signal);
    if (outcome.type === 'absent') throw notFound();
    if (outcome.type === 'shared') return placeAnswer(outcome, wallMs());
  }
  const floors = new ReadFloors(clock);
  for (let tries = 0; tries < READ_TRIES; tries++) {
    const [known = null] = await objects.look([name], signal);
    if (known === null) throw notFound();
    if (!mayRead(exchange, known)) throw preconditionFailed(known);
    const asked = planOf(exchange, known, wallMs());
    if (asked.type === 'answer') return asked.answer;
    const read = await objects.get(name, { from: asked.from, end: asked.end, floors }, signal);
    if (read.type === 'absent') throw notFound();
    const { info } = read;
    // It may have been replaced meanwhile: the read serves as an answer if the request means the same range of the new value.
    const plan = planOf(exchange, info, wallMs());
    const same = plan.type === 'read' && plan.from === asked.from && plan.end === asked.end;
    const body = read.type === 'here' ? partOf(read.value, asked.from, asked.end ?? info.bytes) : read.body;
    if (same && mayRead(exchange, info))
      return { ...bytesOf(info, plan.status, rangeHeaders(plan, info), wallMs()), body };
    body.close();
  }
  throw new ApiError(503, 'other clients write this key all the time; retry', { retryAfterS: 1 });
}

/** The answer that says where a client on the host of the worker finds the bytes. */
function placeAnswer({ info, place, mark }: Extract<SharedOutcome, { type: 'shared' }>, nowMs: number): BytesAnswer {
  const bytes = Buffer.from(JSON.stringify({ ...place, bytes: info.bytes, mark, expiresAtMs: info.expiresAtMs }));
  const about = { ...headersOf(info, nowMs), 'cache-control': 'no-store' };
  const headers = { ...about, 'content-type': SHARED_TYPE, 'content-length': String(bytes.byteLength) };
  const pieces = [bytes];
  const next = async () => {
    const piece = pieces.pop();
    return piece === undefined ? null : { bytes: piece, release: () => {} };
  };
  return { kind: 'bytes', status: 200, headers, body: { next, close: () => {} } };
}

/** The plan for a read of an object in this state: an answer without bytes, or its bytes from `from` to before `end`; null for all of them. */
type ReadPlan =
  | { readonly type: 'answer'; readonly answer: BytesAnswer }
  | { readonly type: 'read'; readonly status: 200; readonly from: 0; readonly end: null }
  | { readonly type: 'read'; readonly status: 206; readonly from: number; readonly end: number };

function planOf(exchange: Exchange, info: ObjectInfo, nowMs: number): ReadPlan {
  const { bytes } = info;
  const answer = (status: number, more: Record<string, string>): ReadPlan => ({
    type: 'answer',
    answer: bytesOf(info, status, more, nowMs),
  });
  if (hasIt(exchange, info)) return answer(304, {});
  const ifRange = exchange.header('if-range');
  const ranged = ifRange === null || ifRange === `"${info.digest}"`;
  const range = ranged ? rangeOf(exchange.header('range'), bytes) : 'whole';
  if (range === 'unsatisfiable') return answer(416, { 'content-range': `bytes */${bytes}`, 'content-length': '0' });
  if (exchange.method === 'HEAD') return answer(200, { 'content-length': String(bytes) });
  return range === 'whole'
    ? { type: 'read', status: 200, from: 0, end: null }
    : { type: 'read', status: 206, ...range };
}

function rangeHeaders({ from, end }: Extract<ReadPlan, { type: 'read' }>, { bytes }: ObjectInfo) {
  if (end === null) return { 'content-length': String(bytes) };
  return { 'content-length': String(end - from), 'content-range': `bytes ${from}-${end - 1}/${bytes}` };
}

/** An answer about an object, without its bytes. */
function bytesOf(info: ObjectInfo, status: number, more: Record<string, string>, nowMs: number): BytesAnswer {
  return { kind: 'bytes', status, headers: { ...headersOf(info, nowMs), ...more }, body: null };
}

/** Reads a part of a value in this process. Takes over the reference. */
function partOf(value: ObjectValue, from: number, end: number): ObjectBody {
  const pieces = value.pieces(from, end);
  return {
    next: async () => {
      const { value: bytes, done } = pieces.next();
      if (done) return null;
      value.hold();
      return { bytes, release: () => value.release() };
    },
    close: () => value.release(),
  };
}

async function put(exchange: Exchange, { objects, objectBytes, staging, wallMs }: KvDeps): Promise<JsonAnswer> {
  const name = nameOf(exchange, spaceOf(exchange.principal));
  checkBodyHeaders(exchange);
  const demand = demandOf(exchange);
  const expiry = expiryOfRequest(exchange, wallMs());
  const contentType = exchange.header('content-type');
  if (contentType !== null && contentType.length > 128)
    throw new ApiError(400, 'content-type: must have at most 128 characters');
  const fields = fieldsOf(exchange.headers);
  checkFields(fields);
  const { principal } = exchange;
  const space = principal === null ? null : spaceOf(principal);
  const value = await receive(exchange.upload!, objectBytes, staging, space);
  try {
    const condition = await conditionOf(demand, name, objects, exchange.signal);
    const written = await objects.put(name, value, { contentType, fields, expiry, condition }, exchange.signal);
    if (written.type === 'unmet') throw preconditionFailed(written.info);
    exchange.answerHeaders({ etag: `"${written.info.digest}"` });
    return json(row(name.key, written.info), written.created ? 201 : 200);
  } finally {
    value.release();
  }
}

/** The condition that a demand comes to. @throws ApiError 412 if the object has none of several ETags */
async function conditionOf(
  demand: WriteDemand,
  name: ObjectName,
  objects: Objects,
  signal: AbortSignal,
): Promise<WriteCondition> {
  if (demand.kind !== 'digests') return demand;
  const [info = null] = await objects.look([name], signal);
  if (info === null || !demand.digests.includes(info.digest)) throw preconditionFailed(info);
  return { kind: 'digest', digest: info.digest };
}

function checkFields(fields: Readonly<Record<string, string>>): void {
  const entries = Object.entries(fields);
  const long = entries.some(([name, value]) => name.length > 64 || name === '' || value.length > 256);
  if (entries.length <= 16 && !long) return;
  throw new ApiError(
    400,
    'x-shoal-meta-*: at most 16 fields are allowed, with names of 64 and values of 256 characters',
  );
}

async function remove(exchange: Exchange, { objects }: KvDeps): Promise<JsonAnswer> {
  const name = nameOf(exchange, spaceOf(exchange.principal));
  const condition = await conditionOf(demandOf(exchange), name, objects, exchange.signal);
  const removed = await objects.remove(name, condition, exchange.signal);
  if (removed.type === 'unmet') throw removed.info === null ? notFound() : preconditionFailed(removed.info);
  return json({ ...keyOf(name.key), object: 'kv.object', deleted: true });
}

async function list(exchange: Exchange, { objects, coarse, clock }: KvDeps): Promise<JsonAnswer> {
  const query = queryOf(exchange.target);
  if (query.get('view') === 'memory') {
    const use = await objects.use(exchange.signal);
    return memory(mayOperate(exchange.principal) ? use : coarse.at(clock.now(), use));
  }
  const prefix = Buffer.from(query.get('prefix') ?? '');
  const limit = wholeNumber(query.get('limit'), PAGE_KEYS, PAGE_MOST, 'limit');
  let from: number | null = wholeNumber(query.get('after'), 0, POSITIONS - 1, 'after');
  const found: Buffer[] = [];
  let seen = 0;
  while (from !== null && found.length < limit && seen < LOOKED_THROUGH) {
    const page: { keys: readonly Buffer[]; next: number | null } = await objects.list(
      spaceOf(exchange.principal),
      from,
      Math.min(limit, 256),
      exchange.signal,
    );
    found.push(...page.keys.filter((key) => key.subarray(0, prefix.byteLength).equals(prefix)));
    seen += page.keys.length;
    from = page.next;
  }
  return json({ object: 'list', data: found.map(keyOf), next: from === null ? null : String(from) });
}

function memory({ objects, bytes, budgetBytes, evicted }: StoreUse): JsonAnswer {
  return json({ object: 'kv.memory', objects, bytes, budget_bytes: budgetBytes, evicted });
}

function wholeNumber(text: string | null, fallback: number, most: number, param: string): number {
  if (text === null) return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= most) return value;
  throw new ApiError(400, `${param}: must be a whole number of at most ${most}, got ${JSON.stringify(text)}`, {
    param,
  });
}

const ExistsRequest = z.object({
  keys: z.array(z.string().min(1).max(OBJECT_KEY_BYTES)).min(1).max(PAGE_MOST),
});

async function exists({ body, principal, signal }: Exchange, { objects }: KvDeps): Promise<JsonAnswer> {
  const { keys } = checkBody(ExistsRequest, body);
  const names = keys.map((key) => objectName(spaceOf(principal), Buffer.from(key)));
  const infos = await objects.look(names, signal);
  return json({
    object: 'list',
    data: names.map(({ key }, i) => ({ ...keyOf(key), exists: infos[i] != null, bytes: infos[i]?.bytes ?? null })),
  });
}

function row(key: Buffer, { bytes, digest, expiresAtMs }: ObjectInfo) {
  return { ...keyOf(key), object: 'kv.object', bytes, etag: `"${digest}"`, expires_at_ms: expiresAtMs };
}

/** A key as text if it is UTF-8, and always in base64url. */
function keyOf(key: Buffer) {
  const text = key.toString('utf8');
  return { key: Buffer.from(text).equals(key) ? text : null, key_base64url: key.toString('base64url') };
}

function notFound(): ApiError {
  return new ApiError(404, 'key: no object has this key', { param: 'key', code: 'key_not_found' });
}

function preconditionFailed(info: ObjectInfo | null): ApiError {
  const state = info === null ? 'there is no object' : `the object has the ETag "${info.digest}"`;
  return new ApiError(412, `if-match, if-none-match: the condition does not hold; ${state}`, {
    code: 'precondition_failed',
  });
}
