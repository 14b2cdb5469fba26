/** What a worker says of itself, and what the others make of it. */

/** `starting`, `serving` and `draining` are a worker's own word; `suspect` and `dead` are others' judgement of it. */
export type MemberState = 'starting' | 'serving' | 'draining' | 'suspect' | 'dead';

/** Where peers reach a worker: by Unix socket on its own host, else by TCP. */
export interface PeerAddress {
  /** Identifies the machine (or container) whose Unix sockets are meant. */
  readonly hostId: string;
  readonly unixPath: string | null;
  readonly tcpHost: string | null;
  readonly tcpPort: number | null;
}

/** Sent every `ANNOUNCE_INTERVAL_MS` and at each change of state. */
export interface Announcement {
  readonly id: string;
  /** Fresh at every start of the worker; sorts after all its earlier ones. */
  readonly incarnation: string;
  readonly state: 'starting' | 'serving' | 'draining';
  readonly pid: number;
  readonly host: string;
  readonly device: string;
  /** Why it runs on that device. */
  readonly deviceReason: string;
  readonly address: PeerAddress;
  readonly fingerprint: string;
  /** Memory for blocks; also its share of the ring. */
  readonly budget: { readonly device: number; readonly host: number };
  readonly bytes: { readonly device: number; readonly host: number };
  readonly blocks: number;
  readonly blockBytes: number;
  readonly running: number;
  readonly waiting: number;
  /** Share of prompt tokens that were not computed here, since start; 0 to 1. */
  readonly hitRate: number;
  /** Measured; null until there is a measurement. */
  readonly rates: WorkerRates;
  /** Last sequence number of its holdings stream, so that a listener sees that it missed one. */
  readonly holdingsSeq: number;
}

interface WorkerRates {
  /** Prefill, milliseconds a token. */
  readonly computeMsPerToken: number | null;
  /** Decode, milliseconds a step. */
  readonly decodeMsPerStep: number | null;
  /** Fetching from peers. */
  readonly fetchBytesPerMs: number | null;
}

/** A member as the rest of the fleet sees it. */
export interface Member extends Omit<Announcement, 'state'> {
  readonly state: MemberState;
}
