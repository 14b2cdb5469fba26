import { once } from 'node:events';
import net from 'node:net';
import type { BlockKey } from '../src/core/block.js';
import { PeerClient, type PeerTarget } from '../src/peer/client/peer-client.js';
import type { OpenSharedMemory } from '../src/peer/client/shared-read.js';
import { BLOCK_BYTES, BLOCKS, benchBlocks, benchBytes, blockAt, FINGERPRINT, SECRET } from './peer-sender.js';

/** Ways in which `peer.ts` gets the same bytes from the sending process. */
export interface Transfer {
  /** Gets all bytes once. Gives the seconds that it took. */
  run(): Promise<number>;
  /** Throws if what came last is not what was sent. */
  check(): void;
  close(): void;
}

const TOTAL_BYTES = BLOCKS * BLOCK_BYTES;

/** By the peer protocol, every digest verified, each block into its own memory; out of the sender's memory if `openMemory` is given. */
export function peerTransfer(target: PeerTarget, hostId: string, openMemory?: OpenSharedMemory): Transfer {
  const client = new PeerClient({
    identity: { id: 'receiver', incarnation: '1', fingerprint: FINGERPRINT },
    hostId,
    secret: SECRET,
    blockBytes: BLOCK_BYTES,
    openMemory,
  });
  const keys: BlockKey[] = benchBlocks(benchBytes()).map(({ key }) => key);
  const memory = touched(TOTAL_BYTES);
  const never = new AbortController().signal;
  const sink = {
    reserve: ({ index }: { readonly index: number }) => ({
      memory: blockAt(memory, index),
      commit: () => {},
      abort: () => {},
    }),
  };
  return {
    run: async () => {
      const startMs = performance.now();
      const { blocks } = await client.fetch(target, keys, sink, never);
      const seconds = (performance.now() - startMs) / 1000;
      if (blocks !== BLOCKS) throw new Error(`${blocks} of ${BLOCKS} blocks came`);
      return seconds;
    },
    check: () => checkBytes(memory),
    close: () => client.close(),
  };
}

/**
 * By a bare socket that reads with `onread` into one large buffer: each read behind the last, so that the bytes are there afterwards; or, with
 * `keep` off, each over the last, so that they are gone, and the processor's cache holds all that is written.
 */
export async function rawTransfer(to: net.NetConnectOpts, keep: boolean): Promise<Transfer> {
  const memory = touched(keep ? TOTAL_BYTES : BLOCK_BYTES);
  let received = 0;
  let arrived = () => {};
  const callback = (bytes: number) => {
    received += bytes;
    if (received === TOTAL_BYTES) arrived();
    return true;
  };
  const behind = () => memory.subarray(received % TOTAL_BYTES);
  const socket = net.connect({ ...to, onread: { buffer: keep ? behind : memory, callback } });
  socket.setNoDelay(true);
  await once(socket, 'connect');
  return {
    run: async () => {
      received = 0;
      const startMs = performance.now();
      const all = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      socket.write('.');
      await all;
      return (performance.now() - startMs) / 1000;
    },
    check: () => {
      if (keep) checkBytes(memory);
    },
    close: () => socket.destroy(),
  };
}

/** Memory that the system has really given. */
function touched(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(1);
}

function checkBytes(memory: Uint8Array): void {
  if (Buffer.compare(memory, benchBytes()) !== 0) throw new Error('what came is not what was sent');
}
