import * as limits from '../limits.js';
import { ACCESS_OPTIONS } from './access-options.js';
import { ADAPTER_OPTIONS } from './adapter-options.js';
import { AUDIT_LOG_OPTIONS } from './audit-log-options.js';
import { BENCH_OPTIONS } from './bench-options.js';
import { BUNDLE_OPTIONS } from './bundle-options.js';
import { DRAIN_OPTIONS } from './drain-options.js';
import { HTTP_OPTIONS } from './http-options.js';
import { MODEL_OPTIONS } from './model-options.js';
import { OBJECT_OPTIONS } from './object-options.js';
import { type Command, type OptionTable, type OptionValues, option } from './option.js';
import * as types from './option-types.js';
import { ORT_LIBRARY_OPTIONS } from './ort-library.js';
import { PEER_TLS_OPTIONS } from './peer-tls-options.js';
import { RUNTIME_OPTIONS } from './runtime-options.js';
import { TRACE_OPTIONS } from './trace-options.js';
import { WORKER_OPTIONS } from './worker-options.js';

/** Every option: flag, variable, default, meaning. */

/** Limits on the workers and coordinators that `shoal up` starts, and on the homes of a block. */
const LOCAL_WORKERS = 64;
const LOCAL_COORDINATORS = 16;
const REPLICAS = 16;
/** Limit on the named NATS servers; a cluster announces others to its clients. */
const NATS_SERVERS = 16;

const ROLES = ['up', 'coordinator', 'worker'] as const satisfies readonly Command[];
/** Roles, and processes of the runtime. */
const MEMBERS = [...ROLES, 'node', 'run', 'list', 'inspect', 'logs'] as const satisfies readonly Command[];
const COORDINATOR = ['up', 'coordinator'] as const satisfies readonly Command[];

/** Every option of shoal: flag, variable, default and meaning. */
export const OPTIONS = {
  port: option({
    flag: 'port',
    variable: 'SHOAL_PORT',
    placeholder: 'PORT',
    type: types.port,
    default: '8080',
    commands: COORDINATOR,
    help: 'Port of the HTTP API. 0 takes a free port.',
  }),
  host: option({
    flag: 'host',
    variable: 'SHOAL_HOST',
    placeholder: 'HOST',
    type: types.host,
    default: '127.0.0.1',
    commands: COORDINATOR,
    help: 'Address on which the HTTP API listens.',
  }),
  workers: option({
    flag: 'workers',
    variable: 'SHOAL_WORKERS',
    placeholder: 'N',
    type: types.wholeNumber(1, LOCAL_WORKERS),
    default: '3',
    commands: ['up', 'bench'],
    help: 'Number of workers to start on this machine; for bench: serve only.',
  }),
  coordinators: option({
    flag: 'coordinators',
    variable: 'SHOAL_COORDINATORS',
    placeholder: 'N',
    type: types.wholeNumber(1, LOCAL_COORDINATORS),
    default: '1',
    commands: ['up'],
    help: 'Number of coordinators to start on this machine. They listen on --port and the ports after it; with --port 0 each takes a free port.',
  }),
  ...MODEL_OPTIONS,
  ...ADAPTER_OPTIONS,
  secret: option({
    flag: null,
    variable: 'SHOAL_SECRET',
    placeholder: 'SECRET',
    type: types.text('16 to 1024 characters', 16, 1024),
    default: null,
    defaultNote: 'up, and run without --nats: a random secret',
    commands: [...MEMBERS, 'debug bundle'],
    help: 'Secret shared by all processes of a fleet, which authenticate each other with it.',
    secret: true,
  }),
  secretFile: option({
    flag: 'secret-file',
    variable: 'SHOAL_SECRET_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: [...MEMBERS, 'debug bundle'],
    fileOf: 'SHOAL_SECRET',
    help: 'File with the secret, instead of SHOAL_SECRET.',
  }),
  nats: option({
    flag: 'nats',
    variable: 'SHOAL_NATS',
    placeholder: 'URL,...',
    type: types.urls(NATS_SERVERS, 'nats', 'tls'),
    default: null,
    defaultNote: 'up and run: start their own server; else nats://127.0.0.1:4222',
    commands: [...MEMBERS, 'nats-buckets'],
    help: 'NATS server, or the servers of a NATS cluster. Credentials go into a URL, or into SHOAL_NATS_USER and SHOAL_NATS_PASSWORD, and are the same for all servers.',
    secret: true,
  }),
  natsUser: option({
    flag: 'nats-user',
    variable: 'SHOAL_NATS_USER',
    placeholder: 'USER',
    type: types.text('1 to 256 characters', 1, 256),
    default: null,
    commands: [...MEMBERS, 'nats-buckets'],
    help: 'User name for NATS.',
  }),
  natsPassword: option({
    flag: null,
    variable: 'SHOAL_NATS_PASSWORD',
    placeholder: 'PASSWORD',
    type: types.text('1 to 1024 characters', 1, 1024),
    default: null,
    commands: [...MEMBERS, 'nats-buckets'],
    help: 'Password for NATS.',
    secret: true,
  }),
  natsPasswordFile: option({
    flag: 'nats-password-file',
    variable: 'SHOAL_NATS_PASSWORD_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: [...MEMBERS, 'nats-buckets'],
    fileOf: 'SHOAL_NATS_PASSWORD',
    help: 'File with the password for NATS, instead of SHOAL_NATS_PASSWORD.',
  }),
  natsServer: option({
    flag: 'nats-server',
    variable: 'SHOAL_NATS_SERVER',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'the first of: PATH, the cache folder, the official release, the Debian package',
    commands: ['up', 'run', 'doctor'],
    help: 'The nats-server program to run.',
  }),
  namespace: option({
    flag: 'namespace',
    variable: 'SHOAL_NAMESPACE',
    placeholder: 'NAME',
    type: types.fleetName,
    default: 'shoal',
    commands: [...MEMBERS, 'nats-users', 'nats-buckets'],
    help: 'Name of the fleet. Fleets with different names can share a NATS server, whose users then have to trust each other (docs/SECURITY.md).',
  }),
  replicas: option({
    flag: 'replicas',
    variable: 'SHOAL_REPLICAS',
    placeholder: 'N',
    type: types.wholeNumber(1, REPLICAS),
    default: '2',
    commands: [...ROLES, 'bench'],
    help: 'Number of workers that must keep a copy of each block. It must be the same in the whole fleet.',
  }),
  context: option({
    flag: 'context',
    variable: 'SHOAL_CONTEXT',
    placeholder: 'TOKENS',
    type: types.wholeNumber(limits.BLOCK_TOKENS, limits.PROMPT_TOKENS),
    default: null,
    defaultNote: "the model's limit, or, if that is less, what fits into memory; on a GPU at most 4096",
    unit: 'tokens',
    commands: ROLES,
    help: 'Longest sequence, prompt and answer together. A lower limit of the model wins. Workers may differ: each request goes to one that takes it.',
  }),
  coordinatorId: option({
    flag: 'coordinator-id',
    variable: 'SHOAL_COORDINATOR_ID',
    placeholder: 'ID',
    type: types.plainName,
    default: null,
    defaultNote: 'coordinator- and random digits',
    commands: ['coordinator'],
    help: 'Name of the coordinator, unique in the fleet: it does not start while another one has the name.',
  }),
  allowRouting: option({
    flag: 'allow-routing',
    variable: 'SHOAL_ALLOW_ROUTING',
    placeholder: null,
    type: types.onOff,
    default: null,
    defaultNote: 'off; up on a loopback address without keys: on',
    commands: COORDINATOR,
    help: 'Allows clients to choose the worker with the header x-shoal-worker.',
  }),
  allowChaos: option({
    flag: 'allow-chaos',
    variable: 'SHOAL_ALLOW_CHAOS',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: ROLES,
    help: 'Allows operators to disturb the fleet from the console, to watch it heal. A coordinator then kills, pauses and slows down workers of its machine and stops its nats-server; a worker obeys orders to be cut off and to send corrupt blocks.',
  }),
  ...ACCESS_OPTIONS,
  ...AUDIT_LOG_OPTIONS,
  ...HTTP_OPTIONS,
  ...OBJECT_OPTIONS,
  logLevel: option({
    flag: 'log-level',
    variable: 'SHOAL_LOG_LEVEL',
    placeholder: 'LEVEL',
    type: types.choice('silent', 'error', 'warn', 'info', 'debug'),
    default: null,
    defaultNote: 'info; up and run: warn',
    commands: MEMBERS,
    reload: 'value',
    help: 'Lowest level of the JSON log on stderr: silent, error, warn, info or debug.',
  }),
  ...TRACE_OPTIONS,
  ...WORKER_OPTIONS,
  ...DRAIN_OPTIONS,
  ...RUNTIME_OPTIONS,
  ...ORT_LIBRARY_OPTIONS,
  ...BENCH_OPTIONS,
  ...BUNDLE_OPTIONS,
  ...PEER_TLS_OPTIONS,
  json: option({
    flag: 'json',
    variable: 'SHOAL_JSON',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: [
      'up',
      'list',
      'inspect',
      'logs',
      'status',
      'drain',
      'explain',
      'console',
      'bench',
      'doctor',
      'key',
      'audit',
      'kv export',
      'kv import',
      'model check',
      'model pull',
      'model list',
      'model info',
      'adapter add',
      'adapter list',
    ],
    help: 'Prints JSON on stdout.',
  }),
  reference: option({
    flag: 'reference',
    variable: 'SHOAL_REFERENCE',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ['model check'],
    help: 'Tokens and log-probabilities of the model as another program computes them, to compare with (docs/MODELS.md).',
  }),
  url: option({
    flag: 'url',
    variable: 'SHOAL_URL',
    placeholder: 'URL',
    type: types.url('http', 'https'),
    default: 'http://127.0.0.1:8080',
    commands: [
      ...([
        'status',
        'health',
        'drain',
        'undrain',
        'explain',
        'console',
        'debug bundle',
        'worker',
        'node',
        'run',
      ] as const),
      ...(['kv export', 'kv import'] as const),
    ],
    help: "URL of the coordinator, which also says where the K/V of a prefix is, for actors and tasks near it. health also accepts the address of a worker's metrics.",
  }),
  rounds: option({
    flag: 'rounds',
    variable: 'SHOAL_ROUNDS',
    placeholder: 'N',
    type: types.wholeNumber(1, 1000),
    default: null,
    defaultNote: 'depends on the benchmark',
    commands: ['bench'],
    help: 'Number of rounds to measure.',
  }),
  apiKey: option({
    flag: null,
    variable: 'SHOAL_API_KEY',
    placeholder: 'KEY',
    type: types.text('1 to 1024 characters', 1, 1024),
    default: null,
    commands: [
      ...([
        'status',
        'drain',
        'undrain',
        'explain',
        'console',
        'debug bundle',
        'bench',
        'worker',
        'node',
        'run',
      ] as const),
      ...(['kv export', 'kv import'] as const),
    ],
    help: 'API key for the coordinator.',
    secret: true,
  }),
} as const satisfies OptionTable;

export type Values = OptionValues<typeof OPTIONS>;
