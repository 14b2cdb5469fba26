import { integerOf, NO_KEYS, type RespCommand, RespFault, SYNTAX_FAULT } from '../command.js';
import { printableText } from '../reply-writer.js';
import type { RespArg } from '../resp-reader.js';
import { bytesOf, DATABASES, type RespSession, textOf, wordOf } from '../resp-session.js';

/** Commands about the connection itself. */

/** The version of Redis that these commands follow. Clients choose their commands by it. */
export const REDIS_VERSION = '7.0.15';
const CLIENT_TEXT_CHARS = 256;

function ping(session: RespSession, args: readonly RespArg[]): void {
  if (args.length > 2) throw new RespFault("ERR wrong number of arguments for 'ping' command");
  if (args[1] === undefined) session.reply.simple('PONG');
  else session.reply.bulk(bytesOf(args[1]));
}

function quit(session: RespSession): void {
  session.reply.simple('OK');
  session.leaving = true;
}

function select(session: RespSession, [, arg]: readonly RespArg[]): void {
  const index = integerOf(arg);
  if (index < 0 || index >= DATABASES) throw new RespFault('ERR DB index is out of range');
  session.database = index;
  session.reply.simple('OK');
}

async function auth(session: RespSession, args: readonly RespArg[]): Promise<void> {
  if (args.length > 3) throw new RespFault(SYNTAX_FAULT);
  const [user, password] = args.length === 3 ? [textOf(args[1]!), textOf(args[2]!)] : ['default', textOf(args[1]!)];
  await prove(session, user, password);
  session.reply.simple('OK');
}

async function prove(session: RespSession, user: string, password: string): Promise<void> {
  if (await session.authenticate(user, password)) return;
  if (session.host.access.anonymous() !== null) {
    throw new RespFault(
      'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    );
  }
  throw new RespFault('WRONGPASS invalid username-password pair or user is disabled.');
}

async function hello(session: RespSession, args: readonly RespArg[]): Promise<void> {
  const { reply } = session;
  const version = args[1] === undefined ? reply.version : protocolOf(args[1]);
  let name: string | null = null;
  for (let at = 2; at < args.length; at++) {
    const word = wordOf(args[at]);
    if (word === 'AUTH' && args.length > at + 2) {
      await prove(session, textOf(args[at + 1]!), textOf(args[at + 2]!));
      at += 2;
    } else if (word === 'SETNAME' && args.length > at + 1) name = clientText(args[++at]!);
    else throw new RespFault(`ERR Syntax error in HELLO option '${printableText(bytesOf(args[at]!))}'`);
  }
  if (session.principal === null) {
    throw new RespFault(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    );
  }
  if (name !== null) session.name = name;
  reply.version = version;
  reply.map(7);
  const fields: [string, string | number][] = [
    ['server', 'redis'],
    ['version', REDIS_VERSION],
    ['proto', version],
    ['id', session.id],
    ['mode', 'standalone'],
    ['role', 'master'],
  ];
  for (const [field, value] of fields) {
    reply.bulk(field);
    if (typeof value === 'number') reply.integer(value);
    else reply.bulk(value);
  }
  reply.bulk('modules');
  reply.array(0);
}

function protocolOf(arg: RespArg): 2 | 3 {
  const version = wordOf(arg);
  if (version === '2' || version === '3') return version === '2' ? 2 : 3;
  throw new RespFault('NOPROTO unsupported protocol version');
}

/** A name that a client gives itself: printable, without blanks, as it is shown in a line. */
function clientText(arg: RespArg): string {
  const text = textOf(arg);
  if (text.length > CLIENT_TEXT_CHARS || /[^\x21-\x7e]/.test(text)) {
    throw new RespFault('ERR Client names cannot contain spaces, newlines or special characters.');
  }
  return text;
}

function client(session: RespSession, args: readonly RespArg[]): void {
  const { reply } = session;
  const sub = wordOf(args[1]);
  switch (`${sub} ${args.length - 2}`) {
    case 'ID 0':
      reply.integer(session.id);
      return;
    case 'GETNAME 0':
      if (session.name === '') reply.null();
      else reply.bulk(session.name);
      return;
    case 'SETNAME 1':
      session.name = clientText(args[2]!);
      reply.simple('OK');
      return;
    case 'SETINFO 2':
      setInfo(session, args[2]!, args[3]!);
      reply.simple('OK');
      return;
    case 'INFO 0':
    case 'LIST 0':
      reply.bulk(`${describe(session)}\n`);
      return;
    case 'NO-EVICT 1':
    case 'NO-TOUCH 1':
      reply.simple('OK');
      return;
  }
  throw new RespFault(
    `ERR unknown subcommand or wrong number of arguments for '${printableText(bytesOf(args[1]!), 64)}'. Try ID, GETNAME, SETNAME, SETINFO, INFO or LIST.`,
  );
}

function setInfo(session: RespSession, field: RespArg, value: RespArg): void {
  const text = clientText(value);
  const word = wordOf(field);
  if (word === 'LIB-NAME') session.library = { ...session.library, name: text };
  else if (word === 'LIB-VER') session.library = { ...session.library, version: text };
  else throw new RespFault(`ERR Unrecognized option '${printableText(bytesOf(field), 64)}'`);
}

/** One line about this client. Other clients are not shown. */
function describe({
  id,
  address,
  name,
  database,
  library,
  reply,
  host,
  startedMs,
  commands,
  principal,
}: RespSession): string {
  const age = Math.floor((host.clock.now() - startedMs) / 1_000);
  return `id=${id} addr=${address} name=${name} age=${age} db=${database} resp=${reply.version} user=${principal?.name ?? ''} lib-name=${library.name} lib-ver=${library.version} tot-cmds=${commands}`;
}

export const CONNECTION_COMMANDS: readonly RespCommand[] = [
  { name: 'ping', arity: -1, flags: ['fast'], keys: NO_KEYS, run: ping },
  { name: 'echo', arity: 2, flags: ['fast'], keys: NO_KEYS, run: ({ reply }, args) => reply.bulk(bytesOf(args[1]!)) },
  { name: 'quit', arity: -1, flags: ['fast', 'no_auth'], keys: NO_KEYS, run: quit },
  { name: 'select', arity: 2, flags: ['fast'], keys: NO_KEYS, run: select },
  { name: 'auth', arity: -2, flags: ['fast', 'no_auth'], keys: NO_KEYS, run: auth },
  { name: 'hello', arity: -1, flags: ['fast', 'no_auth'], keys: NO_KEYS, run: hello },
  { name: 'client', arity: -2, flags: ['fast'], keys: NO_KEYS, run: client },
];
