import { isIPv6 } from 'node:net';
import { clusterSecret } from './cluster-secret.js';
import { checkedKeysFile, clientKeys, modelName } from './coordinator-config.js';
import { checkExposure, isLoopback } from './exposure.js';
import { type TlsFiles, tlsFiles } from './http-config.js';
import { jwtConfig } from './jwt-config.js';
import type { Machine } from './machine.js';
import { modelFolder, namedGraph } from './model-folder.js';
import { type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { checkRedisExposure, redisConfig } from './redis-config.js';
import { defaultCacheBytes, defaultThreads } from './worker-config.js';
import { WrongUsage } from './wrong-usage.js';

/** The configuration of `shoal up`, and the variables that it passes to its children. */
export interface UpConfig {
  readonly workers: number;
  /** Copies of each block. */
  readonly replicas: number;
  readonly host: string;
  /** The port of each coordinator. 0 takes a free port. */
  readonly ports: readonly number[];
  readonly redisHost: string;
  /** The port for clients of the Redis protocol of each coordinator and of each worker; null: none listens. */
  readonly redisPorts: { readonly coordinators: readonly number[]; readonly workers: readonly number[] } | null;
  /** The NATS server to use; null to start one. */
  readonly nats: NatsAccess | null;
  /** The nats-server program to start; null to search for it. */
  readonly natsServer: string | null;
  readonly namespace: string;
  /** Null: a random secret. Never logged. */
  readonly secret: string | null;
  readonly modelDir: string;
  readonly modelName: string;
  /** Whether weights are shared in the cache folder: there are several workers, and no other choice was made. */
  readonly sharesWeights: boolean;
  /** As requested. Each worker checks whether the device is available. */
  readonly device: Values['device'];
  readonly apiKeys: readonly string[];
  /** Whether clients need a key or a token. */
  readonly needsKey: boolean;
  /** Whether only this machine can reach the HTTP API. */
  readonly loopback: boolean;
  /** The files for TLS of the HTTP API; null for plain HTTP. */
  readonly tls: TlsFiles | null;
  readonly json: boolean;
  /** SHOAL_* variables for the children, by role, except names, sockets, NATS and the secret. */
  readonly coordinator: Readonly<Record<string, string>>;
  readonly worker: Readonly<Record<string, string>>;
}

/** Ctrl-C has stopped the workers before, so no answer of theirs goes on. It leaves time for the others within `PROCESS_STOP_MS`. */
const COORDINATOR_SHUTDOWN = '8s';
/** Log level of the children if no other is given. */
export const UP_LOG_LEVEL = 'warn';

/** `up` computes the values of these variables and sets them for each child. */
const COMPUTED = [
  'SHOAL_NATS',
  'SHOAL_NATS_USER',
  'SHOAL_NATS_PASSWORD',
  'SHOAL_NATS_PASSWORD_FILE',
  'SHOAL_SECRET',
  'SHOAL_SECRET_FILE',
  'SHOAL_REDIS_PORT',
];

function withoutComputed(variables: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).filter(([variable]) => !COMPUTED.includes(variable)));
}

/** Tells actors on workers which coordinator knows where the K/V of a prefix is, if its port is fixed. */
function coordinatorUrl({ host, port, tlsCert }: Values): Record<string, string> {
  if (port === 0) return {};
  const reached = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  const scheme = tlsCert === null ? 'http' : 'https';
  return { SHOAL_URL: `${scheme}://${isIPv6(reached) ? `[${reached}]` : reached}:${port}` };
}

const HIGHEST_PORT = 65_535;

/** The ports of the coordinators: `port` and those after it, or 0 for each if `port` is 0. @throws WrongUsage */
function coordinatorPorts({ port, coordinators }: Pick<Values, 'port' | 'coordinators'>): readonly number[] {
  const last = port + coordinators - 1;
  if (port !== 0 && last > HIGHEST_PORT) {
    throw new WrongUsage(
      `--port (SHOAL_PORT): must be at most ${HIGHEST_PORT + 1 - coordinators} for ${coordinators} coordinators, got ${port}`,
    );
  }
  return Array.from({ length: coordinators }, (_, index) => (port === 0 ? 0 : port + index));
}

/** The ports for clients of the Redis protocol: `redisPort` and those after it, or 0 for each if it is 0. @throws WrongUsage */
function redisPorts({ redisPort: { port }, coordinators, workers }: Values): UpConfig['redisPorts'] {
  if (port === null) return null;
  const last = port + coordinators + workers - 1;
  if (port !== 0 && last > HIGHEST_PORT) {
    throw new WrongUsage(
      `--redis-port (SHOAL_REDIS_PORT): must be at most ${HIGHEST_PORT + 1 - coordinators - workers} for ${coordinators} coordinators and ${workers} workers, got ${port}`,
    );
  }
  const from = (first: number, count: number) =>
    Array.from({ length: count }, (_, index) => (port === 0 ? 0 : first + index));
  return { coordinators: from(port, coordinators), workers: from(port + coordinators, workers) };
}

/** @throws WrongUsage */
function graphVariables(values: Values): Record<string, string> {
  const { dtype, file } = namedGraph(values);
  return { SHOAL_DTYPE: dtype, ...(file === null ? {} : { SHOAL_MODEL_FILE: file }) };
}

/**
 * @param inherited options given to `up` that its children also have, as variables
 * @throws WrongUsage
 */
export function upConfig(
  values: Values,
  machine: Machine,
  inherited: { readonly coordinator: Record<string, string>; readonly worker: Record<string, string> },
): UpConfig {
  const modelDir = modelFolder(values.model, values.modelFile);
  const loopback = isLoopback(values.host);
  const apiKeys = clientKeys(values);
  const needsKey = apiKeys.length > 0 || checkedKeysFile(values) !== null || jwtConfig(values) !== null;
  checkExposure(values, needsKey);
  checkRedisExposure(redisConfig({ ...values, redisSocket: null }), needsKey);
  const shared = { SHOAL_MODEL: modelDir, ...graphVariables(values), SHOAL_LOG_LEVEL: values.logLevel ?? UP_LOG_LEVEL };
  return {
    workers: values.workers,
    replicas: values.replicas,
    host: values.host,
    ports: coordinatorPorts(values),
    redisHost: values.redisHost,
    redisPorts: redisPorts(values),
    nats: values.nats === null ? null : natsAccess(values.nats, values),
    natsServer: values.natsServer,
    namespace: values.namespace,
    secret: clusterSecret(values),
    modelDir,
    modelName: modelName(values, modelDir),
    sharesWeights: values.workers > 1 && values.sharedWeights === null,
    device: values.device,
    apiKeys,
    needsKey,
    loopback,
    tls: tlsFiles(values),
    json: values.json,
    coordinator: {
      ...withoutComputed(inherited.coordinator),
      ...shared,
      SHOAL_SHUTDOWN_TIMEOUT: COORDINATOR_SHUTDOWN,
      SHOAL_ALLOW_ROUTING: (values.allowRouting ?? (loopback && !needsKey)) ? '1' : '0',
    },
    worker: {
      ...withoutComputed(inherited.worker),
      ...coordinatorUrl(values),
      ...shared,
      SHOAL_CACHE_BYTES: String(values.cacheBytes ?? defaultCacheBytes(machine, values.workers)),
      // Not left to the workers: one that is started again finds less free memory, because the others use theirs.
      SHOAL_MEMORY: String(values.memory ?? Math.floor(machine.availableBytes / values.workers)),
      SHOAL_THREADS: String(values.threads ?? defaultThreads(machine, values.workers)),
    },
  };
}
