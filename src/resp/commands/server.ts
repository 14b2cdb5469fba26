import { NO_KEYS, type RespCommand, RespFault } from '../command.js';
import { matches } from '../glob.js';
import type { RespArg } from '../resp-reader.js';
import { bytesOf, DATABASES, type RespSession, wordOf } from '../resp-session.js';
import { REDIS_VERSION } from './connection.js';

/** Commands about the server. */

function info(session: RespSession, args: readonly RespArg[]): void {
  const { host } = session;
  const wanted = args.slice(1).map((arg) => wordOf(arg).toLowerCase());
  const all = wanted.length === 0 || wanted.some((word) => ['default', 'all', 'everything'].includes(word));
  const { memory } = session;
  const sections: Record<string, Record<string, string | number>> = {
    Server: {
      redis_version: REDIS_VERSION,
      redis_mode: 'standalone',
      shoal_version: host.version,
      shoal_role: host.role,
      shoal_id: host.id,
      tcp_port: host.port(),
    },
    Clients: { connected_clients: session.clients },
    Memory: { used_memory: memory?.bytes ?? 0, maxmemory: memory?.budgetBytes ?? 0, maxmemory_policy: 'allkeys-lru' },
    Stats: memory === null ? {} : { evicted_keys: memory.evicted },
    Persistence: { loading: 0, aof_enabled: 0, rdb_bgsave_in_progress: 0 },
    Replication: { role: 'master', connected_slaves: 0 },
    Cluster: { cluster_enabled: 0 },
    Keyspace: memory === null ? {} : { shoal_objects_here: memory.objects },
  };
  const shown = Object.entries(sections).filter(([name]) => all || wanted.includes(name.toLowerCase()));
  const lines = shown.map(([name, fields]) =>
    [`# ${name}`, ...Object.entries(fields).map(([field, value]) => `${field}:${value}`), ''].join('\r\n'),
  );
  session.reply.bulk(lines.join('\r\n'));
}

function config({ reply, host }: RespSession, args: readonly RespArg[]): void {
  if (wordOf(args[1]) !== 'GET' || args.length < 3) {
    throw new RespFault("ERR unknown subcommand or wrong number of arguments for 'config'; only CONFIG GET is there");
  }
  const values: Record<string, string> = {
    appendonly: 'no',
    databases: String(DATABASES),
    maxmemory: String(host.memory()?.budgetBytes ?? 0),
    'maxmemory-policy': 'allkeys-lru',
    'proto-max-bulk-len': String(host.objectBytes),
    save: '',
    timeout: '0',
  };
  const patterns = args
    .slice(2)
    .map((arg) => Buffer.from(bytesOf(arg).subarray(0, 64).toString('latin1').toLowerCase()));
  const found = Object.entries(values).filter(([name]) => patterns.some((each) => matches(each, Buffer.from(name))));
  reply.map(found.length);
  for (const [name, value] of found) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

/** Every port answers for the whole fleet, which has no hash slots: clients of Redis Cluster get the error of a Redis server outside a cluster. */
function cluster(): never {
  throw new RespFault('ERR This instance has cluster support disabled');
}

/** `COMMAND`, which lists the commands of `table`. */
export function commandCommand(table: () => ReadonlyMap<string, RespCommand>): RespCommand {
  const describe = ({ reply }: RespSession, { name, arity, flags, keys }: RespCommand) => {
    reply.array(6);
    reply.bulk(name);
    reply.integer(arity);
    reply.array(flags.length);
    for (const flag of flags) reply.simple(flag);
    for (const place of keys) reply.integer(place);
  };
  const run = (session: RespSession, args: readonly RespArg[]): void => {
    const { reply } = session;
    const commands = [...table().values()];
    switch (wordOf(args[1])) {
      case 'COUNT':
        reply.integer(commands.length);
        return;
      case 'DOCS':
        reply.map(0);
        return;
      case 'LIST':
        reply.array(commands.length);
        for (const { name } of commands) reply.bulk(name);
        return;
      case 'INFO':
        reply.array(args.length - 2);
        for (const arg of args.slice(2)) {
          const known = table().get(wordOf(arg).toLowerCase());
          if (known === undefined) reply.null();
          else describe(session, known);
        }
        return;
      case '':
        if (args.length > 1) break;
        reply.array(commands.length);
        for (const each of commands) describe(session, each);
        return;
    }
    throw new RespFault(
      "ERR unknown subcommand or wrong number of arguments for 'command'. Try COUNT, DOCS, INFO or LIST.",
    );
  };
  return { name: 'command', arity: -1, flags: ['stale'], keys: NO_KEYS, run };
}

export const SERVER_COMMANDS: readonly RespCommand[] = [
  { name: 'info', arity: -1, flags: ['stale'], keys: NO_KEYS, run: info },
  { name: 'cluster', arity: -2, flags: ['stale'], keys: NO_KEYS, run: cluster },
  { name: 'config', arity: -2, flags: ['stale'], keys: NO_KEYS, run: config },
];
