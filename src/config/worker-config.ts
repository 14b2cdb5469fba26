import { resolve } from 'node:path';
import type { LogLevel } from '../log.js';
import { formatByteSize } from './byte-size.js';
import { requiredSecret } from './cluster-secret.js';
import type { Machine } from './machine.js';
import { modelFolder } from './model-folder.js';
import { type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { WrongUsage } from './wrong-usage.js';

/** Everything that one worker is told from outside. */
export interface WorkerConfig {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** Shared by the whole fleet. Never logged. */
  readonly secret: string;
  /** Null for plain TCP between peers. */
  readonly peerTls: PeerTlsConfig | null;
  /** Absolute. */
  readonly modelDir: string;
  /** What was asked for; the worker sees what there is. */
  readonly device: Values['device'];
  readonly replicas: number;
  /** Whether prefixes are kept and shared. */
  readonly cache: boolean;
  /** Budget of blocks, and the worker's share of the ring. */
  readonly cacheBytes: number;
  /** Budget of the tier below the device; 0 for none, null for what suits the device. */
  readonly hostCacheBytes: number | null;
  /** Folder of the disk tier, of this worker alone; null for none. */
  readonly diskCacheDir: string | null;
  readonly diskCacheBytes: number;
  /** Slots for running sequences. */
  readonly sequences: number;
  /** Longest sequence; the model's own limit holds if it is less. */
  readonly contextTokens: number;
  readonly threads: number;
  readonly prefillChunkTokens: number;
  /** Requests that may wait for a slot. */
  readonly maxWaiting: number;
  readonly peer: PeerConfig;
  /** Where /metrics listens; null for nowhere. Port 0 takes a free one. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly logLevel: LogLevel;
}

/** Where a worker listens for its peers: at one of the two at least. */
interface PeerConfig {
  /** Absolute path of a Unix socket, in a folder that exists. */
  readonly socketPath: string | null;
  /** TCP. Port 0 takes a free one; null for no TCP. */
  readonly host: string;
  readonly port: number | null;
  /** The address that peers are told. */
  readonly advertiseHost: string;
}

const DEFAULT_CACHE_BYTES = 2 ** 30;
const DEFAULT_THREADS_CEILING = 16;
/** Workers of one machine that may each use all cores. */
const FEW_WORKERS = 4;

/**
 * Memory for blocks where none is given: 1 GiB, or this worker's part of half of the free memory if that is less, so that a small
 * machine is not driven out of memory.
 */
export function defaultCacheBytes(machine: Machine, localWorkers: number): number {
  return Math.min(DEFAULT_CACHE_BYTES, Math.floor(machine.availableBytes / 2 / localWorkers));
}

/** All cores for each of few workers, as they are seldom busy at once; with more, at most `FEW_WORKERS` threads a core in all. */
export function defaultThreads(machine: Machine, localWorkers: number): number {
  const share = localWorkers <= FEW_WORKERS ? machine.cores : Math.ceil((FEW_WORKERS * machine.cores) / localWorkers);
  return Math.max(1, Math.min(share, machine.cores, DEFAULT_THREADS_CEILING));
}

function checkFree(option: string, bytes: number, { availableBytes }: Machine): void {
  if (bytes <= availableBytes) return;
  throw new WrongUsage(
    `${option} is ${formatByteSize(bytes)}: it must be within the ` +
      `${formatByteSize(availableBytes)} of memory that are free on this machine.`,
  );
}

function peerConfig(values: Values, machine: Machine): PeerConfig {
  if (values.peerPort.port === null && values.peerSocket === null) {
    throw new WrongUsage(
      '--peer-port (SHOAL_PEER_PORT) is off and there is no --peer-socket (SHOAL_PEER_SOCKET): give one of them.',
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

/** @throws WrongUsage */
export function workerConfig(values: Values, machine: Machine): WorkerConfig {
  const cacheBytes = values.cacheBytes ?? defaultCacheBytes(machine, 1);
  // A GPU has memory of its own, of which nothing is known yet.
  const onHost = values.device === 'cpu' || values.device === 'auto';
  if (onHost) checkFree('--cache-bytes (SHOAL_CACHE_BYTES)', cacheBytes, machine);
  checkFree('--host-cache-bytes (SHOAL_HOST_CACHE_BYTES)', values.hostCacheBytes ?? 0, machine);
  return {
    id: values.workerId ?? machine.processName,
    namespace: values.namespace,
    nats: natsAccess(values.nats ?? 'nats://127.0.0.1:4222', values),
    secret: requiredSecret(values),
    peerTls: peerTls(values),
    modelDir: modelFolder(values.model),
    device: values.device,
    replicas: values.replicas,
    cache: values.cache,
    cacheBytes,
    hostCacheBytes: values.hostCacheBytes,
    diskCacheDir: values.diskCacheDir === null ? null : resolve(values.diskCacheDir),
    diskCacheBytes: values.diskCacheBytes,
    sequences: values.sequences,
    contextTokens: values.context,
    threads: values.threads ?? defaultThreads(machine, 1),
    prefillChunkTokens: values.prefillChunk,
    maxWaiting: values.maxWaiting,
    peer: peerConfig(values, machine),
    metrics: values.metricsPort.port === null ? null : { host: values.metricsHost, port: values.metricsPort.port },
    logLevel: values.logLevel ?? 'info',
  };
}
