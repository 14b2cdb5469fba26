import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { PinnedBlock } from '../../../../src/core/block.js';
import type { Announcement } from '../../../../src/core/member.js';
import type { OpenSharedMemory } from '../../../../src/core/shared-memory-reader.js';
import { Roster } from '../../../../src/fleet/roster.js';
import { fleetSubjects } from '../../../../src/fleet/subjects.js';
import { openProcessMemory } from '../../../../src/native/process-memory.js';
import { PeerClient } from '../../../../src/peer/client/peer-client.js';
import type { BlockHost } from '../../../../src/peer/server/block-host.js';
import type { Comparer } from '../../../../src/peer/server/compare-answer.js';
import { PeerServer } from '../../../../src/peer/server/peer-server.js';
import { announcement, FINGERPRINT } from '../../../support/announcement.js';
import { BLOCK_BYTES, Cache } from './cache.js';

const SECRET = 'a secret that all workers of the fleet know';

/** What a peer sees of a neighbour's store, with a door in it. */
class Door implements BlockHost {
  /** Keys that were asked for, and that were offered. */
  readonly asked: string[] = [];
  readonly offered: string[] = [];
  /** Called before a block is given; may change it. */
  onPin: (pinned: PinnedBlock | null) => Promise<PinnedBlock | null> | PinnedBlock | null = (pinned) => pinned;

  constructor(private readonly store: BlockHost) {}

  isShared(key: string): boolean {
    return this.store.isShared(key);
  }

  async pin(key: string): Promise<PinnedBlock | null> {
    this.asked.push(key);
    return this.onPin(await this.store.pin(key));
  }

  admit(...[block, admission, from]: Parameters<BlockHost['admit']>): ReturnType<BlockHost['admit']> {
    this.offered.push(block.key);
    return this.store.admit(block, admission, from);
  }
}

/** A worker without an engine: a cache, and the ways to others. */
export class Neighbour {
  readonly door: Door;
  readonly client: PeerClient;
  readonly roster: Roster;
  /** Compares summaries of peers. */
  comparer: Comparer = async () => null;
  private server: PeerServer;
  private closed = false;

  constructor(
    readonly id: string,
    readonly cache: Cache,
    private readonly town: Town,
    readonly incarnation = '0001',
    openMemory: OpenSharedMemory | undefined = undefined,
  ) {
    const identity = { id, incarnation, fingerprint: FINGERPRINT };
    const common = { identity, secret: SECRET, blockBytes: BLOCK_BYTES, clock: town.clock };
    this.door = new Door(cache.store);
    this.server = this.makeServer();
    this.client = new PeerClient({ ...common, hostId: 'here', ...(openMemory ? { openMemory } : {}) });
    const { clock, subjects } = town;
    const bus = town.broker.connect(id);
    const self = { id, incarnation, generation: 0 };
    this.roster = new Roster({ bus, clock, subjects, fingerprint: FINGERPRINT, self, probe: async () => {} });
  }

  get says(): Announcement {
    const address = { hostId: 'here', unixPath: this.town.path(this.id), tcpHost: null, tcpPort: null };
    return announcement(this.id, { incarnation: this.incarnation, address, blockBytes: BLOCK_BYTES });
  }

  async listen(): Promise<void> {
    await this.server.listen({ unixPath: this.town.path(this.id) });
  }

  /** Nobody reaches it any more. */
  async shut(): Promise<void> {
    if (!this.closed) await this.server.close();
    this.closed = true;
  }

  /** It can be reached again. */
  async reopen(): Promise<void> {
    this.server = this.makeServer();
    this.closed = false;
    await this.listen();
  }

  private makeServer(): PeerServer {
    const identity = { id: this.id, incarnation: this.incarnation, fingerprint: FINGERPRINT };
    const { clock } = this.town;
    const comparer: Comparer = (peer, summary) => this.comparer(peer, summary);
    return new PeerServer({
      identity,
      secret: SECRET,
      blockBytes: BLOCK_BYTES,
      clock,
      host: this.door,
      roleOf: () => 'worker',
      comparer,
    });
  }
}

/** Neighbours that know each other, over real connections, in simulated time. */
export class Town {
  readonly clock = new SimulatedClock(1_000_000);
  readonly broker = new MemoryBroker();
  readonly subjects = fleetSubjects('town');
  readonly neighbours: Neighbour[] = [];

  private constructor(private readonly folder: string) {}

  static async open(): Promise<Town> {
    return new Town(await mkdtemp(join(tmpdir(), 'shoal-town-')));
  }

  path(id: string): string {
    return join(this.folder, `${id}.sock`);
  }

  /** A new neighbour. All know of it at once, unless it is to be told later. */
  async add(id: string, budgetBlocks = 64, tell = true): Promise<Neighbour> {
    return this.welcome(new Neighbour(id, new Cache(budgetBlocks), this), tell);
  }

  /** One over any kind of tiers, who reads in the memory of others where that can be. */
  async addOver(id: string, cache: Cache): Promise<Neighbour> {
    return this.welcome(new Neighbour(id, cache, this, '0001', openProcessMemory), true);
  }

  private async welcome(neighbour: Neighbour, tell: boolean): Promise<Neighbour> {
    await neighbour.listen();
    this.neighbours.push(neighbour);
    if (tell) this.tell();
    return neighbour;
  }

  /** A neighbour whose process died, and was started again. Nobody has heard of either. */
  async restart(id: string): Promise<Neighbour> {
    const at = this.neighbours.findIndex((neighbour) => neighbour.id === id);
    const old = this.neighbours[at]!;
    old.client.close();
    await old.shut();
    old.cache.close();
    const neighbour = new Neighbour(id, new Cache(old.cache.budgetBlocks), this, '0002');
    await neighbour.listen();
    this.neighbours[at] = neighbour;
    return neighbour;
  }

  /** All hear what all say. */
  tell(over: Partial<Announcement> & { id?: string } = {}): void {
    for (const { roster } of this.neighbours) {
      for (const { says } of this.neighbours) roster.hear(says.id === over.id ? { ...says, ...over } : says);
    }
  }

  /** All take it for dead, as its successor speaks in a state in which it has no place. */
  bury(id: string): void {
    this.tell({ id, incarnation: '0002', state: 'starting' });
  }

  /** Ends it all; says what was left behind. */
  async close(): Promise<string[]> {
    for (const { client } of this.neighbours) client.close();
    await Promise.all(this.neighbours.map((neighbour) => neighbour.shut()));
    await rm(this.folder, { recursive: true, force: true });
    const left = await Promise.all(
      this.neighbours.map(async ({ id, cache }) => {
        await cache.store.quiet();
        cache.store.reset();
        return (await cache.end()).map((what) => `${id}: ${what}`);
      }),
    );
    return left.flat();
  }
}
