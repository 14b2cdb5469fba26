import { createHash } from 'node:crypto';
import net from 'node:net';
import { join } from 'node:path';
import type { SealedBlock } from '../src/core/block.js';
import { digestOf } from '../src/digest.js';
import { setSendBuffer } from '../src/native/libc.js';
import { SharedMemory } from '../src/native/shared-memory.js';
import type { BlockHost } from '../src/peer/server/block-host.js';
import { PeerServer } from '../src/peer/server/peer-server.js';

/** The sending process of benchmark `peer`: a peer server, and raw sockets that write the same bytes on request. */

export const BLOCKS = 16;
export const BLOCK_BYTES = 4 * 1024 * 1024;
export const SECRET = 'known to both processes';
export const FINGERPRINT = 'b'.repeat(64);
export const SENDER = { id: 'sender', incarnation: '1', fingerprint: FINGERPRINT };

/** The addresses that the sender reports to its parent process. */
export interface Senders {
  readonly shoal: {
    readonly unixPath: string | null;
    readonly tcpHost: string | null;
    readonly tcpPort: number | null;
  };
  readonly raw: { readonly unixPath: string; readonly tcpHost: string; readonly tcpPort: number };
}

export function benchBlocks(bytes: Uint8Array): SealedBlock[] {
  const keyOf = (index: number) => createHash('sha256').update(`block ${index}`).digest('hex');
  return Array.from({ length: BLOCKS }, (_, index) => ({
    key: keyOf(index),
    parent: index === 0 ? null : keyOf(index - 1),
    index,
    segment: keyOf(0),
    digest: digestOf(blockAt(bytes, index)),
    maker: { id: 'sender', incarnation: '1' },
  }));
}

export function blockAt(bytes: Uint8Array, index: number): Uint8Array {
  return bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
}

/** The bytes to transfer, equal in both processes. */
export function benchBytes(): Uint8Array {
  const words = new Uint32Array((BLOCKS * BLOCK_BYTES) / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761);
  return new Uint8Array(words.buffer);
}

/** Serves the blocks of these bytes, which lie in `memory` if that is given, and takes no blocks. */
export function senderHost(bytes: Uint8Array, memory: SharedMemory | null): BlockHost {
  const blocks = new Map(benchBlocks(bytes).map((block) => [block.key, block]));
  return {
    isShared: () => memory !== null,
    pin: async (key) => {
      const block = blocks.get(key);
      if (!block) return null;
      const shared = memory && { fileDescriptor: memory.fileDescriptor, offset: block.index * BLOCK_BYTES };
      return { block, bytes: blockAt(bytes, block.index), shared, unpin: () => {} };
    },
    admit: () => 'full',
  };
}

async function send(folder: string): Promise<void> {
  const memory = SharedMemory.allocate(BLOCKS * BLOCK_BYTES);
  const bytes = memory?.bytes ?? new Uint8Array(BLOCKS * BLOCK_BYTES);
  bytes.set(benchBytes());
  const host = senderHost(bytes, memory);
  const server = new PeerServer({
    identity: SENDER,
    secret: SECRET,
    host,
    roleOf: () => 'worker',
    blockBytes: BLOCK_BYTES,
    setSendBuffer,
  });
  const shoal = await server.listen({ unixPath: join(folder, 'shoal.sock'), tcpHost: '127.0.0.1' });
  const unixPath = join(folder, 'raw.sock');
  await rawServer({ path: unixPath }, bytes);
  const tcpPort = await rawServer({ host: '127.0.0.1', port: 0 }, bytes);
  const senders: Senders = { shoal, raw: { unixPath, tcpHost: '127.0.0.1', tcpPort } };
  process.send?.(senders);
}

/** Listens, and sends all blocks for each byte received. Resolves with the port, or 0 for a path. */
function rawServer(at: net.ListenOptions, bytes: Uint8Array): Promise<number> {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', () => {
      for (let index = 0; index < BLOCKS; index++) socket.write(blockAt(bytes, index));
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

const [, , role, folder] = process.argv;
if (role === 'shoal-bench-peer-sender' && folder !== undefined && process.send) {
  process.on('disconnect', () => process.exit(0));
  await send(folder);
}
