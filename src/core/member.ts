import type { GraphTrial } from './graph-trial.js';
import type { Rank } from './rank.js';

/** A worker's announcement, and a member as the other processes see it. */

/** `starting`, `serving` and `draining` are announced by the worker itself; `suspect` and `dead` are the judgement of others. */
export type MemberState = 'starting' | 'serving' | 'draining' | 'suspect' | 'dead';

/** The address of a worker for its peers: a Unix socket on its own host, else TCP. */
export interface PeerAddress {
  /** Identifies the machine or container that has the Unix socket. */
  readonly hostId: string;
  readonly unixPath: string | null;
  readonly tcpHost: string | null;
  readonly tcpPort: number | null;
}

export function isSameAddress(a: PeerAddress, b: PeerAddress): boolean {
  return a.hostId === b.hostId && a.unixPath === b.unixPath && a.tcpHost === b.tcpHost && a.tcpPort === b.tcpPort;
}

/** A worker's description of itself, sent every `ANNOUNCE_INTERVAL_MS` and at each change of state. */
export interface Announcement extends Rank {
  readonly id: string;
  readonly state: 'starting' | 'serving' | 'draining';
  readonly pid: number;
  readonly host: string;
  readonly device: string;
  /** Why the worker runs on that device. */
  readonly deviceReason: string;
  /** Why `capacity.contextTokens` is what it is. */
  readonly contextReason: string;
  /** The worker's trial of its model before it served; null if there was none. */
  readonly trial: GraphTrial | null;
  readonly address: PeerAddress;
  readonly fingerprint: string;
  /** Memory for blocks in bytes, by tier; the sum determines the worker's share of the ring. */
  readonly budget: { readonly device: number; readonly host: number };
  readonly bytes: { readonly device: number; readonly host: number };
  readonly blocks: number;
  readonly blockBytes: number;
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens that the worker has accepted and not computed yet. */
  readonly queuedTokens: number;
  /** The worker's limits on requests. */
  readonly capacity: WorkerCapacity;
  /** Share of prompt tokens taken from the cache or from peers since the start, 0 to 1. */
  readonly hitRate: number;
  /** Measured rates. Each is null until it has been measured. */
  readonly rates: WorkerRates;
  /** Time since the measurement of `rates.computeMsPerToken`; null until there is one. */
  readonly computeAgeMs: number | null;
  readonly disk: DiskState;
  /** Fingerprints of the adapters that it has in memory. Absent for none. */
  readonly adapters?: readonly string[] | undefined;
  /** The blocks that the worker has refused because their bytes did not match their digest, by the peer that sent them. Only where `--allow-chaos` is on. */
  readonly damaged?: readonly DamagedCount[] | undefined;
  /** Sequence number of the last holdings change, so that a listener detects a missed one. */
  readonly holdingsSeq: number;
}

export interface DamagedCount {
  readonly peer: string;
  readonly blocks: number;
}

/** A worker's limits on requests. Members of a fleet may have different limits. */
interface WorkerCapacity {
  /** Prompt and answer of one request together, in tokens. */
  readonly contextTokens: number;
  /** Requests that run at a time. */
  readonly sequences: number;
  /** Further requests that may wait. */
  readonly waiting: number;
}

/** The folder of a worker's disk tier. `away`: the disk does not answer, and the worker does without it. */
export type DiskState = 'none' | 'answers' | 'away';

interface WorkerRates {
  /** Prefill, in milliseconds per token. */
  readonly computeMsPerToken: number | null;
  /** Decode, in milliseconds per step. */
  readonly decodeMsPerStep: number | null;
  /** Fetches from peers, in bytes per millisecond. */
  readonly fetchBytesPerMs: number | null;
}

/** A member as the rest of the fleet sees it. */
export interface Member extends Omit<Announcement, 'state'> {
  readonly state: MemberState;
}
