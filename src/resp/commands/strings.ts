import { EXTENT_BYTES } from '../../objects/extent-pool.js';
import type { Expiry, ObjectInfo, WriteCondition } from '../../objects/object.js';
import type { ObjectName } from '../../objects/object-name.js';
import type { ObjectValue } from '../../objects/object-value.js';
import type { GetOutcome } from '../../objects/objects.js';
import { ALL_KEYS, integerOf, ONE_KEY, type RespCommand, RespFault, SYNTAX_FAULT } from '../command.js';
import { REPLY_FREE_BYTES } from '../reply-memory.js';
import type { RespArg } from '../resp-reader.js';
import { argValue, type RespSession, wordOf } from '../resp-session.js';
import { type ExpiryUnit, expiryAfter, isExpiryUnit } from './expiry-option.js';

/** Commands that read and write values. */

const ALWAYS: WriteCondition = { kind: 'always' };
const NEVER: Expiry = { kind: 'never' };
const ABSENT: WriteCondition = { kind: 'absent' };
/** How long `SET … GET` tries while clients of other processes write the same key. Each failure is the success of another. */
const SWAP_MS = 15_000;
/** Longest pause between two attempts; the first is a millisecond, and each is twice the last. */
const SWAP_PAUSE_CEILING_MS = 32;

/** Writes the value of a key, or null. */
function get(session: RespSession, key: RespArg): void | Promise<void> {
  const name = session.object(key);
  const here = session.objects.getNow(name);
  if (here === undefined || !session.floors.allows(name.hash, here?.info ?? null)) return getElsewhere(session, name);
  if (here === null) session.reply.null();
  else return sendValue(session, here.value.hold());
}

async function getElsewhere(session: RespSession, name: ObjectName): Promise<void> {
  const { floors, signal } = session;
  await sendRead(session, await session.objects.get(name, { floors }, signal));
}

async function sendRead(session: RespSession, read: GetOutcome): Promise<void> {
  if (read.type === 'absent') session.reply.null();
  else if (read.type === 'here') await sendValue(session, read.value);
  else await sendBody(session, read, read.info.bytes);
}

/** Sends a value of this process, or a part of it. Takes over a reference to it. */
function sendValue(session: RespSession, value: ObjectValue, from = 0, end = value.bytes): void | Promise<void> {
  if (session.outlet.copies && end - from > REPLY_FREE_BYTES) return sendPieces(session, value, from, end);
  session.reply.value(value, from, end);
}

/** Sends a value piece by piece, so that a client that takes no more has only a few pieces copied. */
async function sendPieces({ reply, outlet, signal }: RespSession, value: ObjectValue, from: number, end: number) {
  reply.bulkHead(end - from);
  try {
    for (const piece of value.pieces(from, end)) {
      await outlet.flush(piece.byteLength);
      if (signal.aborted) return;
      value.hold();
      reply.part(piece, () => value.release());
    }
    await outlet.flush();
  } finally {
    value.release();
  }
  reply.bulkEnd();
}

/** Sends a value piece by piece, as the client takes it. If it breaks off, the connection must be closed: the reply is incomplete. */
async function sendBody(
  { reply, outlet }: RespSession,
  { body }: Extract<GetOutcome, { type: 'found' }>,
  bytes: number,
): Promise<void> {
  reply.bulkHead(bytes);
  try {
    for (let left = bytes; ; ) {
      await outlet.flush(Math.min(left, EXTENT_BYTES));
      const piece = await body.next();
      if (piece === null) break;
      left -= piece.bytes.byteLength;
      const { release } = piece;
      reply.part(piece.bytes, () => release());
    }
    await outlet.flush();
  } catch (error) {
    throw new BrokenReply(error instanceof Error ? error.message : String(error));
  } finally {
    body.close();
  }
  reply.bulkEnd();
}

/** A reply has begun and cannot be ended. */
export class BrokenReply extends Error {}

interface SetOptions {
  readonly expiry: Expiry;
  readonly condition: WriteCondition;
  readonly returnsOld: boolean;
}

/** The options of `SET`. */
function setOptions(session: RespSession, args: readonly RespArg[]): SetOptions {
  let expiry: Expiry | null = null;
  let condition: WriteCondition | null = null;
  let returnsOld = false;
  for (let at = 3; at < args.length; at++) {
    const word = wordOf(args[at]);
    if (isExpiryUnit(word) && expiry === null) expiry = expiryAfter(word, args[++at], session.host.wallMs(), 'set');
    else if (word === 'KEEPTTL' && expiry === null) expiry = { kind: 'keep' };
    else if ((word === 'NX' || word === 'XX') && condition === null)
      condition = { kind: word === 'NX' ? 'absent' : 'present' };
    else if (word === 'GET') returnsOld = true;
    else throw new RespFault(SYNTAX_FAULT);
  }
  return { expiry: expiry ?? NEVER, condition: condition ?? ALWAYS, returnsOld };
}

async function set(session: RespSession, args: readonly RespArg[]): Promise<void> {
  const options = setOptions(session, args);
  const name = session.object(args[1]!);
  const value = argValue(args[2]!);
  try {
    if (options.returnsOld) await setAndGet(session, name, value, options);
    else if (await put(session, name, value, options.condition, options.expiry)) session.reply.simple('OK');
    else session.reply.null();
  } finally {
    value.release();
  }
}

/** Writes a value. False if the condition does not hold. */
async function put(
  { objects, signal }: RespSession,
  name: ObjectName,
  value: ObjectValue,
  condition: WriteCondition,
  expiry: Expiry,
): Promise<boolean> {
  const written = await objects.put(name, value, { contentType: null, fields: {}, expiry, condition }, signal);
  return written.type === 'written';
}

/** `SET … GET`: replies with the value that was replaced, or, if the condition does not hold, with the one that stays. */
async function setAndGet(
  session: RespSession,
  name: ObjectName,
  value: ObjectValue,
  options: SetOptions,
): Promise<void> {
  const old = await session.host.swaps.run(name.hash, () => swap(session, name, value, options));
  await sendRead(session, old);
}

/** Gives the value that was replaced, or the one that stays. */
async function swap(
  session: RespSession,
  name: ObjectName,
  value: ObjectValue,
  { condition, expiry }: SetOptions,
): Promise<GetOutcome> {
  const { objects, floors, signal, host } = session;
  const deadlineMs = host.clock.now() + SWAP_MS;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, SWAP_PAUSE_CEILING_MS)) {
    const old = await objects.get(name, { floors }, signal);
    const info = old.type === 'absent' ? null : old.info;
    const unmet = (condition.kind === 'absent' && info !== null) || (condition.kind === 'present' && info === null);
    if (unmet) return old;
    try {
      if (await put(session, name, value, exactly(info), expiry)) return old;
    } catch (error) {
      discard(old);
      throw error;
    }
    discard(old);
    if (host.clock.now() > deadlineMs) throw new RespFault('TRYAGAIN other clients write this key all the time; retry');
    await new Promise<void>((resolve) => host.clock.after(pauseMs, resolve));
  }
}

function exactly(info: ObjectInfo | null): WriteCondition {
  return info === null ? ABSENT : { kind: 'version', version: info.version };
}

function discard(read: GetOutcome): void {
  if (read.type === 'here') read.value.release();
  if (read.type === 'found') read.body.close();
}

function setWith(unit: ExpiryUnit, command: string): RespCommand['run'] {
  return async (session, [, key, time, arg]) => {
    const expiry = expiryAfter(unit, time, session.host.wallMs(), command);
    const value = argValue(arg!);
    try {
      await put(session, session.object(key!), value, ALWAYS, expiry);
    } finally {
      value.release();
    }
    session.reply.simple('OK');
  };
}

async function setnx(session: RespSession, [, key, arg]: readonly RespArg[]): Promise<void> {
  const value = argValue(arg!);
  try {
    session.reply.integer((await put(session, session.object(key!), value, ABSENT, NEVER)) ? 1 : 0);
  } finally {
    value.release();
  }
}

async function mget(session: RespSession, args: readonly RespArg[]): Promise<void> {
  session.reply.array(args.length - 1);
  for (const key of args.slice(1)) {
    try {
      await get(session, key);
    } catch (error) {
      throw new BrokenReply(error instanceof Error ? error.message : String(error));
    }
    await session.outlet.flush();
  }
}

async function mset(session: RespSession, args: readonly RespArg[]): Promise<void> {
  if (args.length % 2 === 0) throw new RespFault("ERR wrong number of arguments for 'mset' command");
  for (let at = 1; at < args.length; at += 2) {
    const value = argValue(args[at + 1]!);
    try {
      await put(session, session.object(args[at]!), value, ALWAYS, NEVER);
    } finally {
      value.release();
    }
  }
  session.reply.simple('OK');
}

async function strlen(session: RespSession, [, key]: readonly RespArg[]): Promise<void> {
  const [info = null] = await session.objects.look([session.object(key!)], session.signal);
  session.reply.integer(info?.bytes ?? 0);
}

/** A part of a value; negative places count from its end. */
async function getrange(session: RespSession, [, key, first, last]: readonly RespArg[]): Promise<void> {
  const [start, stop] = [integerOf(first), integerOf(last)];
  const { objects, reply, floors, signal } = session;
  const name = session.object(key!);
  const [info = null] = await objects.look([name], signal);
  const bytes = info?.bytes ?? 0;
  const from = Math.max(0, start < 0 ? bytes + start : start);
  const end = Math.min(bytes, (stop < 0 ? bytes + stop : stop) + 1);
  if (from >= end) return reply.bulk('');
  const read = await objects.get(name, { floors, from, end }, signal);
  if (read.type === 'absent') return reply.bulk('');
  if (read.type === 'here') return sendValue(session, read.value, from, Math.min(end, read.value.bytes));
  await sendBody(session, read, Math.max(0, Math.min(end, read.info.bytes) - from));
}

export const STRING_COMMANDS: readonly RespCommand[] = [
  { name: 'get', arity: 2, flags: ['readonly', 'fast'], keys: ONE_KEY, run: (session, args) => get(session, args[1]!) },
  { name: 'set', arity: -3, flags: ['write', 'denyoom'], keys: ONE_KEY, run: set },
  { name: 'setex', arity: 4, flags: ['write', 'denyoom'], keys: ONE_KEY, run: setWith('EX', 'setex') },
  { name: 'psetex', arity: 4, flags: ['write', 'denyoom'], keys: ONE_KEY, run: setWith('PX', 'psetex') },
  { name: 'setnx', arity: 3, flags: ['write', 'denyoom', 'fast'], keys: ONE_KEY, run: setnx },
  { name: 'mget', arity: -2, flags: ['readonly', 'fast'], keys: ALL_KEYS, run: mget },
  { name: 'mset', arity: -3, flags: ['write', 'denyoom'], keys: [1, -1, 2], run: mset },
  { name: 'strlen', arity: 2, flags: ['readonly', 'fast'], keys: ONE_KEY, run: strlen },
  { name: 'getrange', arity: 4, flags: ['readonly'], keys: ONE_KEY, run: getrange },
  { name: 'substr', arity: 4, flags: ['readonly'], keys: ONE_KEY, run: getrange },
];
