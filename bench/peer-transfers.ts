import { once } from 'node:events';
import net from 'node:net';
import type { BlockKey } from '../src/core/block.js';
import type { OpenSharedMemory } from '../src/core/shared-memory-reader.js';
import { PeerClient, type PeerTarget } from '../src/peer/client/peer-client.js';
import { BLOCK_BYTES, BLOCKS, benchBlocks, benchBytes, blockAt, FINGERPRINT, SECRET } from './peer-sender.js';

/** The ways in which benchmark `peer` transfers bytes from the sending process. */

/** One way of transfer. */
export interface Transfer {
  /** Transfers all bytes once. Returns the time in seconds. */
  run(): Promise<number>;
  /** Throws if the last received bytes differ from the sent ones. */
  check(): void;
  close(): void;
}

const TOTAL_BYTES = BLOCKS * BLOCK_BYTES;

/** The peer protocol, with all digests verified and each block in its own memory. With `openMemory` blocks are read from shared memory. */
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
      if (blocks !== BLOCKS) throw new Error(`received ${blocks} of ${BLOCKS} blocks`);
      return seconds;
    },
    check: () => checkBytes(memory),
    close: () => client.close(),
  };
}

/**
 * A bare socket that reads with `onread` into one large buffer.
 * @param keep whether each read appends to the last one. Otherwise it overwrites the last one, and the data stays in the processor's cache.
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

/** Memory that is backed by physical pages. */
function touched(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(1);
}

function checkBytes(memory: Uint8Array): void {
  if (Buffer.compare(memory, benchBytes()) !== 0) throw new Error('the received bytes differ from the sent ones');
}
