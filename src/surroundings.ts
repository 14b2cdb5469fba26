import type { OpenSharedMemory } from './core/shared-memory-reader.js';
import { hostId } from './fleet/identity.js';
import { setSendBuffer } from './native/libc.js';
import { openProcessMemory } from './native/process-memory.js';
import { type PeerNetwork, SOCKETS } from './peer/wire/network.js';
import { type Random, SystemRandom } from './random.js';

/** The parts of the machine that a process uses, apart from its clock and its bus. A simulation replaces them. */
export interface Surroundings {
  /** Names the host, as in `PeerAddress`. */
  readonly hostId: string;
  readonly network: PeerNetwork;
  /** Sets the send buffer of a socket; null where sockets have none. */
  readonly setSendBuffer: typeof setSendBuffer | null;
  /** Opens the memory of a peer on this host; null for no shared memory. */
  readonly openMemory: OpenSharedMemory | null;
  readonly random: Random;
  /** Milliseconds since 1970, to compare times with other processes. Unlike the clock it may jump: durations are measured with the clock. */
  readonly wallMs: () => number;
  /** Whether the metrics include the process's own: its memory, its processor time, its event loop. */
  readonly processMetrics: boolean;
}

/** The machine that this process runs on. */
export function machineSurroundings(): Surroundings {
  return {
    hostId: hostId(),
    network: SOCKETS,
    setSendBuffer,
    openMemory: openProcessMemory,
    random: new SystemRandom(),
    wallMs: () => Date.now(),
    processMetrics: true,
  };
}
