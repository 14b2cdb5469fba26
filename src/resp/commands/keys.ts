import { costOf, type ObjectInfo, type WriteCondition } from '../../objects/object.js';
import { POSITIONS } from '../../objects/object-name.js';
import { ALL_KEYS, integerOf, NO_KEYS, ONE_KEY, type RespCommand, RespFault, SYNTAX_FAULT } from '../command.js';
import { matches } from '../glob.js';
import { REPLY_FREE_BYTES } from '../reply-memory.js';
import { printableText } from '../reply-writer.js';
import type { RespArg } from '../resp-reader.js';
import { bytesOf, type RespSession, wordOf } from '../resp-session.js';
import { type ExpiryUnit, timeOf } from './expiry-option.js';

/** Commands about keys: deletion, expiry, and lists of them. */

const ALWAYS: WriteCondition = { kind: 'always' };
/** Names that are looked up or deleted at a time. */
const BATCH = 32;
const SCAN_KEYS = 10;
/** Limits on the keys of one reply. */
const SCAN_MOST = 256;
const KEYS_MOST = 100_000;
/** Memory of a key in a list, besides its bytes. */
const KEY_OVERHEAD_BYTES = 96;
/** Attempts to change an expiry while others write the same key. */
const RETIME_TRIES = 16;

async function look(session: RespSession, keys: readonly RespArg[]): Promise<(ObjectInfo | null)[]> {
  const found: (ObjectInfo | null)[] = [];
  for (let at = 0; at < keys.length; at += BATCH) {
    const names = keys.slice(at, at + BATCH).map((key) => session.object(key));
    found.push(...(await session.objects.look(names, session.signal)));
  }
  return found;
}

async function del(session: RespSession, args: readonly RespArg[]): Promise<void> {
  const names = args.slice(1).map((key) => session.object(key));
  let deleted = 0;
  for (let at = 0; at < names.length; at += BATCH) {
    const removed = names.slice(at, at + BATCH).map((name) => session.objects.remove(name, ALWAYS, session.signal));
    deleted += (await Promise.all(removed)).filter(({ type }) => type === 'written').length;
  }
  session.reply.integer(deleted);
}

async function exists(session: RespSession, args: readonly RespArg[]): Promise<void> {
  const found = await look(session, args.slice(1));
  session.reply.integer(found.filter((info) => info !== null).length);
}

async function type(session: RespSession, [, key]: readonly RespArg[]): Promise<void> {
  const [info] = await look(session, [key!]);
  session.reply.simple(info === null ? 'none' : 'string');
}

function ttl(unitMs: number): RespCommand['run'] {
  return async (session, [, key]) => {
    const [info = null] = await look(session, [key!]);
    const { wallMs } = session.host;
    if (info === null) session.reply.integer(-2);
    else if (info.expiresAtMs === null) session.reply.integer(-1);
    else session.reply.integer(Math.max(0, Math.round((info.expiresAtMs - wallMs()) / unitMs)));
  };
}

/** Whether `EXPIRE` with such an option may change an expiry; null never expires. */
function mayRetime(option: string, before: number | null, atMs: number): boolean {
  switch (option) {
    case '':
      return true;
    case 'NX':
      return before === null;
    case 'XX':
      return before !== null;
    case 'GT':
      return before !== null && atMs > before;
    case 'LT':
      return before === null || atMs < before;
    default:
      throw new RespFault(`ERR Unsupported option ${printableText(Buffer.from(option))}`);
  }
}

function expire(unit: ExpiryUnit): RespCommand['run'] {
  return async (session, args) => {
    if (args.length > 4) throw new RespFault(SYNTAX_FAULT);
    const { objects, signal, host, reply } = session;
    const atMs = timeOf(unit, integerOf(args[2]), host.wallMs());
    const name = session.object(args[1]!);
    const option = wordOf(args[3]);
    for (let tries = 0; tries < RETIME_TRIES; tries++) {
      const [info = null] = await objects.look([name], signal);
      if (!mayRetime(option, info?.expiresAtMs ?? null, atMs) || info === null) return reply.integer(0);
      const same: WriteCondition = { kind: 'version', version: info.version };
      const over = atMs <= host.wallMs();
      const changed = over
        ? await objects.remove(name, same, signal)
        : await objects.retime(name, { kind: 'at', atMs }, same, signal);
      if (changed.type === 'written') return reply.integer(1);
    }
    throw new RespFault('TRYAGAIN other clients write this key all the time; retry');
  };
}

async function persist(session: RespSession, [, key]: readonly RespArg[]): Promise<void> {
  const name = session.object(key!);
  const [info = null] = await session.objects.look([name], session.signal);
  if (info === null || info.expiresAtMs === null) return session.reply.integer(0);
  const changed = await session.objects.retime(name, { kind: 'never' }, ALWAYS, session.signal);
  session.reply.integer(changed.type === 'written' ? 1 : 0);
}

interface ScanOptions {
  readonly pattern: Buffer | null;
  readonly count: number;
  readonly type: string;
}

function scanOptions(args: readonly RespArg[]): ScanOptions {
  let pattern: Buffer | null = null;
  let count = SCAN_KEYS;
  let wanted = 'string';
  for (let at = 2; at < args.length; at += 2) {
    const [word, arg] = [wordOf(args[at]), args[at + 1]];
    if (arg === undefined) throw new RespFault(SYNTAX_FAULT);
    if (word === 'MATCH') pattern = bytesOf(arg);
    else if (word === 'COUNT') count = integerOf(arg);
    else if (word === 'TYPE') wanted = wordOf(arg).toLowerCase();
    else throw new RespFault(SYNTAX_FAULT);
  }
  if (count < 1) throw new RespFault(SYNTAX_FAULT);
  return { pattern: checkPattern(pattern), count: Math.min(count, SCAN_MOST), type: wanted };
}

/** A pattern is compared with every key, and needs no more bytes than a key has. */
function checkPattern(pattern: Buffer | null): Buffer | null {
  if (pattern !== null && pattern.byteLength > 1024) throw new RespFault('ERR the pattern has more than 1024 bytes');
  return pattern;
}

async function scan(session: RespSession, args: readonly RespArg[]): Promise<void> {
  const text = bytesOf(args[1]!).toString('latin1');
  const from = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(from < POSITIONS)) throw new RespFault('ERR invalid cursor');
  const { pattern, count, type: wanted } = scanOptions(args);
  const page = await session.objects.list(session.space, from, count, session.signal);
  const keys = wanted === 'string' ? page.keys.filter((key) => pattern === null || matches(pattern, key)) : [];
  session.reply.array(2);
  session.reply.bulk(String(page.next ?? 0));
  session.reply.array(keys.length);
  for (const key of keys) session.reply.bulk(key);
}

async function keys(session: RespSession, [, arg]: readonly RespArg[]): Promise<void> {
  const pattern = checkPattern(bytesOf(arg!))!;
  const { outlet, reply } = session;
  const found: Buffer[] = [];
  let bytes = 0;
  for (let from: number | null = 0; from !== null; ) {
    const page: { keys: readonly Buffer[]; next: number | null } = await session.objects.list(
      session.space,
      from,
      SCAN_MOST,
      session.signal,
    );
    const matching = page.keys.filter((key) => matches(pattern, key));
    found.push(...matching);
    bytes += matching.reduce((sum, key) => sum + key.byteLength + KEY_OVERHEAD_BYTES, 0);
    if (found.length > KEYS_MOST) throw new RespFault(`ERR more than ${KEYS_MOST} keys match; use SCAN`);
    if (!outlet.reserve(bytes)) throw new RespFault('OOM no memory for all keys that match; retry later, or use SCAN');
    from = page.next;
  }
  reply.array(found.length);
  for (const key of found) {
    reply.bulk(key);
    bytes -= key.byteLength + KEY_OVERHEAD_BYTES;
    if (reply.ownBytes <= REPLY_FREE_BYTES) continue;
    outlet.reserve(bytes);
    await outlet.flush();
  }
}

async function randomKey(session: RespSession): Promise<void> {
  for (const from of [Math.floor(Math.random() * POSITIONS), 0]) {
    const page = await session.objects.list(session.space, from, 1, session.signal);
    const [key] = page.keys;
    if (key !== undefined) return session.reply.bulk(key);
  }
  session.reply.null();
}

async function dbsize(session: RespSession): Promise<void> {
  session.reply.integer(await session.objects.count(session.space, session.signal));
}

async function flushdb(session: RespSession, [, mode]: readonly RespArg[]): Promise<void> {
  if (mode !== undefined && !['ASYNC', 'SYNC'].includes(wordOf(mode))) throw new RespFault(SYNTAX_FAULT);
  await session.objects.flush(session.space, session.signal);
  session.reply.simple('OK');
}

async function memory(session: RespSession, [, sub, key]: readonly RespArg[]): Promise<void> {
  if (wordOf(sub) !== 'USAGE' || key === undefined) {
    throw new RespFault(
      "ERR unknown subcommand or wrong number of arguments for 'memory'; only MEMORY USAGE key is there",
    );
  }
  const [info = null] = await look(session, [key]);
  if (info === null) session.reply.null();
  else session.reply.integer(costOf(session.object(key), info));
}

export const KEY_COMMANDS: readonly RespCommand[] = [
  { name: 'del', arity: -2, flags: ['write'], keys: ALL_KEYS, run: del },
  { name: 'unlink', arity: -2, flags: ['write', 'fast'], keys: ALL_KEYS, run: del },
  { name: 'exists', arity: -2, flags: ['readonly', 'fast'], keys: ALL_KEYS, run: exists },
  { name: 'touch', arity: -2, flags: ['readonly', 'fast'], keys: ALL_KEYS, run: exists },
  { name: 'type', arity: 2, flags: ['readonly', 'fast'], keys: ONE_KEY, run: type },
  { name: 'expire', arity: -3, flags: ['write', 'fast'], keys: ONE_KEY, run: expire('EX') },
  { name: 'pexpire', arity: -3, flags: ['write', 'fast'], keys: ONE_KEY, run: expire('PX') },
  { name: 'ttl', arity: 2, flags: ['readonly', 'fast'], keys: ONE_KEY, run: ttl(1_000) },
  { name: 'pttl', arity: 2, flags: ['readonly', 'fast'], keys: ONE_KEY, run: ttl(1) },
  { name: 'persist', arity: 2, flags: ['write', 'fast'], keys: ONE_KEY, run: persist },
  { name: 'scan', arity: -2, flags: ['readonly'], keys: NO_KEYS, run: scan },
  { name: 'keys', arity: 2, flags: ['readonly'], keys: NO_KEYS, run: keys },
  { name: 'randomkey', arity: 1, flags: ['readonly'], keys: NO_KEYS, run: randomKey },
  { name: 'dbsize', arity: 1, flags: ['readonly', 'fast'], keys: NO_KEYS, run: dbsize },
  { name: 'flushdb', arity: -1, flags: ['write'], audited: true, keys: NO_KEYS, run: flushdb },
  { name: 'memory', arity: -2, flags: ['readonly'], keys: [2, 2, 1], run: memory },
];
