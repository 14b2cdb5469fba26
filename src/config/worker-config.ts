import { resolve } from 'node:path';
import { formatByteSize } from '../byte-size.js';
import type { PrefillBounds } from '../core/chunk-size.js';
import type { Durability } from '../core/durability.js';
import type { FetchPolicy } from '../core/fetch-plan.js';
import type { LogLevel } from '../log.js';
import { adapterFolderOf } from './adapter-options.js';
import { requiredSecret, secretInFile } from './cluster-secret.js';
import { type HostingConfig, hostingConfig } from './hosting-config.js';
import type { Machine } from './machine.js';
import { modelFolder, type NamedGraph, namedGraph } from './model-folder.js';
import { DEFAULT_NATS_URL, type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { type RedisConfig, redisConfig } from './redis-config.js';
import { type TraceConfig, traceConfig } from './trace-config.js';
import { WrongUsage } from './wrong-usage.js';

/** The complete configuration of one worker. */

export interface WorkerConfig {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** Shared by the whole fleet. Never logged. */
  readonly secret: string;
  /** Null: peers use plain TCP. */
  readonly peerTls: PeerTlsConfig | null;
  /** Absolute path. */
  readonly modelDir: string;
  /** Which of the model's graphs to run. */
  readonly graph: NamedGraph;
  /** Folder of adapters, as an absolute path. It need not exist. */
  readonly adapterDir: string;
  /** Memory for adapters, of a model that takes them. */
  readonly adapterBytes: number;
  /** As requested. The worker checks whether the device is available. */
  readonly device: Values['device'];
  /** Whether the model is tried before the worker serves. */
  readonly trial: boolean;
  /** When blocks of peers are fetched. */
  readonly fetch: FetchPolicy;
  readonly replicas: number;
  readonly durability: Durability;
  /** Whether prefixes are kept and shared. */
  readonly cache: boolean;
  /** Device memory for blocks. It also sets the worker's share of the ring. */
  readonly cacheBytes: number;
  /** Budget of the host tier. 0 for none; null for the device's default. */
  readonly hostCacheBytes: number | null;
  /** Folder of the disk tier, used by this worker only. Null for none. */
  readonly diskCacheDir: string | null;
  readonly diskCacheBytes: number;
  /** Seals the files in the folder. Never logged. */
  readonly diskCacheKey: string;
  /** One answer of so many that used cached blocks is audited; 0 for none. */
  readonly auditOneIn: number;
  /** Number of slots, that is, of running sequences. */
  readonly sequences: number;
  /** Longest sequence. A lower limit of the model wins. Null: what fits into memory. */
  readonly contextTokens: number | null;
  /** Memory for weights, caches and sequences if the device is the CPU. */
  readonly memoryBytes: number;
  /** Folder of weights that several workers map, as an absolute path; null: this worker's weights are its own. */
  readonly sharedWeightsDir: string | null;
  readonly threads: number;
  readonly prefill: PrefillBounds;
  /** The most tokens of an answer that are guessed at a time; 0 for none. */
  readonly draftTokens: number;
  /** Time for the hand-over of blocks when the worker stops. */
  readonly handOverMs: number;
  /** Requests that may wait for a slot. */
  readonly maxWaiting: number;
  readonly peer: PeerConfig;
  /** Host memory for objects; 0: this worker has none. */
  readonly objectBytes: number;
  /** Disk space for objects, in the folder of the disk cache; 0 for none. */
  readonly objectDiskBytes: number;
  /** Null: no clients of the Redis protocol. */
  readonly redis: RedisConfig | null;
  /** The address of /metrics; null for none. Port 0 takes a free port. */
  readonly metrics: MetricsConfig | null;
  /** Null: no traces are recorded. */
  readonly trace: TraceConfig | null;
  readonly logLevel: LogLevel;
  /** Whether coordinators may order faults of this worker. */
  readonly allowChaos: boolean;
  /** Users' code that this process hosts in addition to the model; null for none. */
  readonly hosting: HostingConfig | null;
}

/** Where a worker or node listens for its peers: on a Unix socket, on TCP, or on both. */
export interface PeerConfig {
  /** Absolute path of a Unix socket, in a folder that exists. */
  readonly socketPath: string | null;
  /** TCP address. Port 0 takes a free port; null for no TCP. */
  readonly host: string;
  readonly port: number | null;
  /** The address under which peers reach this worker. */
  readonly advertiseHost: string;
}

const DEFAULT_CACHE_BYTES = 2 ** 30;
const DEFAULT_THREADS_CEILING = 16;
/** Up to this many workers of one machine may each use all cores. */
const FEW_WORKERS = 4;

/**
 * Default memory for blocks: 1 GiB, or, if that is less, this worker's share of half of the free memory, so that a small machine
 * does not run out of memory.
 */
export function defaultCacheBytes(machine: Machine, localWorkers: number): number {
  return Math.min(DEFAULT_CACHE_BYTES, Math.floor(machine.availableBytes / 2 / localWorkers));
}

/** A few workers get all cores each, as they are seldom busy at once. More workers get `FEW_WORKERS` threads per core in total. */
export function defaultThreads(machine: Machine, localWorkers: number): number {
  const share = localWorkers <= FEW_WORKERS ? machine.cores : Math.ceil((FEW_WORKERS * machine.cores) / localWorkers);
  return Math.max(1, Math.min(share, machine.cores, DEFAULT_THREADS_CEILING));
}

function checkFree(option: string, bytes: number, { availableBytes }: Machine): void {
  if (bytes <= availableBytes) return;
  throw new WrongUsage(
    `${option}: must be at most the free memory of this machine, ${formatByteSize(availableBytes)}, ` +
      `got ${formatByteSize(bytes)}`,
  );
}

export function peerConfig(values: Values, machine: Machine): PeerConfig {
  if (values.peerPort.port === null && values.peerSocket === null) {
    throw new WrongUsage(
      '--peer-socket (SHOAL_PEER_SOCKET): must be set if --peer-port (SHOAL_PEER_PORT) is off, got nothing',
    );
  }
  const wildcard = ['0.0.0.0', '::'].includes(values.peerHost);
  const own = wildcard ? (machine.outsideAddress ?? machine.hostname) : values.peerHost;
  return {
    socketPath: values.peerSocket,
    host: values.peerHost,
    port: values.peerPort.port,
    advertiseHost: values.advertiseHost ?? own,
  };
}

/** The key of the files on disk, if the options name a file with it. @throws WrongUsage */
function diskCacheKey({ diskCacheKeyFile: file }: Values): string | null {
  return file === null ? null : secretInFile('--disk-cache-key-file (SHOAL_DISK_CACHE_KEY_FILE)', file);
}

/** @throws WrongUsage */
export function workerConfig(values: Values, machine: Machine): WorkerConfig {
  const cacheBytes = values.cacheBytes ?? defaultCacheBytes(machine, 1);
  const weights = values.sharedWeights?.path ?? null;
  // The amount of GPU memory is not known yet.
  const onHost = values.device === 'cpu' || values.device === 'auto';
  if (onHost) checkFree('--cache-bytes (SHOAL_CACHE_BYTES)', cacheBytes, machine);
  checkFree('--host-cache-bytes (SHOAL_HOST_CACHE_BYTES)', values.hostCacheBytes ?? 0, machine);
  const secret = requiredSecret(values);
  const modelDir = modelFolder(values.model, values.modelFile);
  return {
    id: values.workerId ?? `worker-${machine.nameEnd}`,
    namespace: values.namespace,
    nats: natsAccess(values.nats ?? DEFAULT_NATS_URL, values),
    secret,
    peerTls: peerTls(values),
    modelDir,
    graph: namedGraph(values),
    adapterDir: adapterFolderOf(values.adapterDir, modelDir),
    adapterBytes: values.adapterBytes,
    device: values.device,
    trial: values.trial,
    fetch: values.fetch,
    replicas: values.replicas,
    durability: values.durability,
    cache: values.cache,
    cacheBytes,
    hostCacheBytes: values.hostCacheBytes,
    diskCacheDir: values.diskCacheDir === null ? null : resolve(values.diskCacheDir),
    diskCacheBytes: values.diskCacheBytes,
    diskCacheKey: diskCacheKey(values) ?? secret,
    auditOneIn: values.audit.count,
    sequences: values.sequences,
    contextTokens: values.context,
    memoryBytes: values.memory ?? machine.availableBytes,
    sharedWeightsDir: weights === null ? null : resolve(weights),
    threads: values.threads ?? defaultThreads(machine, 1),
    prefill: { chunkTokens: values.prefillChunk, pauseMs: values.prefillPause },
    draftTokens: values.speculate,
    handOverMs: values.handOver,
    maxWaiting: values.maxWaiting,
    peer: peerConfig(values, machine),
    objectBytes: values.objectBytes,
    objectDiskBytes: objectDiskBytes(values),
    redis: redisConfig(values),
    metrics: metricsConfig(values),
    trace: traceConfig(values),
    logLevel: values.logLevel ?? 'info',
    allowChaos: values.allowChaos,
    hosting: hostingConfig(values, machine),
  };
}

/** The address of /metrics. Port 0 takes a free port. */
export interface MetricsConfig {
  readonly host: string;
  readonly port: number;
}

/** Null: no metrics are served. */
export function metricsConfig({ metricsHost, metricsPort }: Values): MetricsConfig | null {
  return metricsPort.port === null ? null : { host: metricsHost, port: metricsPort.port };
}

/** @throws WrongUsage for a disk without a folder */
function objectDiskBytes({
  objectDiskBytes: bytes,
  diskCacheDir,
}: Pick<Values, 'objectDiskBytes' | 'diskCacheDir'>): number {
  if (bytes === 0 || diskCacheDir !== null) return bytes;
  throw new WrongUsage(
    '--object-disk-bytes (SHOAL_OBJECT_DISK_BYTES): needs a folder; set --disk-cache-dir (SHOAL_DISK_CACHE_DIR), or 0',
  );
}
