import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const ROLES = ['up', 'coordinator', 'worker'] as const satisfies readonly Command[];
const ONE_ROLE = ['coordinator', 'worker'] as const satisfies readonly Command[];

/** The options for objects, and for clients of the Redis protocol. */
export const OBJECT_OPTIONS = {
  objectBytes: option({
    flag: 'object-bytes',
    variable: 'SHOAL_OBJECT_BYTES',
    placeholder: 'SIZE',
    type: types.byteSize(0, '0'),
    default: '512MiB',
    unit: 'bytes',
    commands: ROLES,
    help: 'Host memory for objects in each worker, beside its blocks. An object has at most as many bytes. 0 turns objects off. It must be the same in the whole fleet.',
  }),
  responseTtl: option({
    flag: 'response-ttl',
    variable: 'SHOAL_RESPONSE_TTL',
    placeholder: 'TIME',
    type: types.duration(0, 30 * 24 * 3_600_000, '0s to 720h'),
    default: '24h',
    commands: ['up', 'coordinator'],
    help: 'Time for which answers of the Responses API are stored, in the memory for objects, so that a later request can name them. 0s stores none.',
  }),
  redisPort: option({
    flag: 'redis-port',
    variable: 'SHOAL_REDIS_PORT',
    placeholder: 'PORT|off',
    type: types.portOrOff,
    default: 'off',
    commands: ROLES,
    help: 'Port for clients of the Redis protocol. 0 takes a free port. With up, the coordinators listen on this port and those after it, then the workers.',
  }),
  redisHost: option({
    flag: 'redis-host',
    variable: 'SHOAL_REDIS_HOST',
    placeholder: 'HOST',
    type: types.host,
    default: '127.0.0.1',
    commands: ROLES,
    help: 'Address on which --redis-port listens. Others than this machine need API keys, or --insecure.',
  }),
  redisSocket: option({
    flag: 'redis-socket',
    variable: 'SHOAL_REDIS_SOCKET',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: 'Unix socket for clients of the Redis protocol on the same host, beside --redis-port or instead of it.',
  }),
  redisTlsKey: option({
    flag: 'redis-tls-key',
    variable: 'SHOAL_REDIS_TLS_KEY',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'none: no TLS',
    commands: ROLES,
    help: 'Private key (PEM) for --redis-port, which then speaks TLS only.',
  }),
  redisTlsCert: option({
    flag: 'redis-tls-cert',
    variable: 'SHOAL_REDIS_TLS_CERT',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ROLES,
    help: 'Certificate (PEM) for --redis-tls-key.',
  }),
  prefix: option({
    flag: 'prefix',
    variable: 'SHOAL_PREFIX',
    placeholder: 'TEXT',
    type: types.text('0 to 1024 characters', 0, 1024),
    default: '',
    defaultNote: 'all keys',
    commands: ['kv export', 'kv import'],
    help: 'Leaves out the objects whose keys do not begin with this text.',
  }),
  replace: option({
    flag: 'replace',
    variable: 'SHOAL_REPLACE',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: ['kv import'],
    help: 'Replaces objects of the fleet that have other bytes than those of the file. Without it, they stay.',
  }),
} as const satisfies OptionTable;
