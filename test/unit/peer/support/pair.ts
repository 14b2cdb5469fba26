import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openProcessMemory } from '../../../../src/native/process-memory.js';
import { SharedMemory } from '../../../../src/native/shared-memory.js';
import { PeerClient, type PeerClientOptions, type PeerTarget } from '../../../../src/peer/client/peer-client.js';
import { type PeerAddresses, PeerServer, type PeerServerOptions } from '../../../../src/peer/server/peer-server.js';
import type { PeerIdentity } from '../../../../src/peer/wire/handshake.js';
import { BLOCK_BYTES, FINGERPRINT, MemoryHost } from './host.js';

export const SECRET = 'a secret that all workers of the fleet know';
export const ALICE: PeerIdentity = { id: 'alice', incarnation: '0001', fingerprint: FINGERPRINT };
export const BOB: PeerIdentity = { id: 'bob', incarnation: '0001', fingerprint: FINGERPRINT };

/** `memory` is a Unix socket between workers that read blocks in each other's memory. */
export type Via = 'unix' | 'tcp' | 'memory';

const SHARED_BYTES = 8 << 20;

/** A server of Bob's and clients of Alice's, all gone with `close`. */
export class Pair {
  private readonly clients: PeerClient[] = [];

  private constructor(
    readonly server: PeerServer,
    readonly host: MemoryHost,
    readonly addresses: PeerAddresses,
    private readonly folder: string,
  ) {}

  static async open(options: Partial<PeerServerOptions> = {}): Promise<Pair> {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-peer-'));
    const host = (options.host as MemoryHost | undefined) ?? new MemoryHost();
    const server = new PeerServer({
      identity: BOB,
      secret: SECRET,
      blockBytes: BLOCK_BYTES,
      roleOf: () => 'worker',
      ...options,
      host,
    });
    const addresses = await server.listen({ unixPath: join(folder, 'bob.sock'), tcpHost: '127.0.0.1' });
    return new Pair(server, host, addresses, folder);
  }

  /** With a host whose blocks are where `via` needs them. */
  static async openFor(via: Via, options: Partial<PeerServerOptions> = {}): Promise<Pair> {
    const memory = via === 'memory' ? SharedMemory.allocate(SHARED_BYTES) : null;
    return Pair.open({ host: new MemoryHost(BLOCK_BYTES, memory), ...options });
  }

  clientFor(via: Via, options: Partial<PeerClientOptions> = {}): PeerClient {
    return this.client({ ...(via === 'memory' ? { openMemory: openProcessMemory } : {}), ...options });
  }

  client(options: Partial<PeerClientOptions> = {}): PeerClient {
    const client = new PeerClient({
      identity: ALICE,
      hostId: 'here',
      secret: SECRET,
      blockBytes: BLOCK_BYTES,
      ...options,
    });
    this.clients.push(client);
    return client;
  }

  target(via: Via, peer: { id: string; incarnation: string } = BOB): PeerTarget {
    const hostId = via === 'tcp' ? 'there' : 'here';
    return { id: peer.id, incarnation: peer.incarnation, generation: 0, address: { hostId, ...this.addresses } };
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.server.close();
    this.host.memory?.release();
    await rm(this.folder, { recursive: true, force: true });
  }
}
