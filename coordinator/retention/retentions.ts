import { hash } from 'node:crypto';
import type { BlockMeta } from '../../src/core/block.js';
import type { Tenant } from '../../src/core/fair-shares.js';
import type { Holdings } from '../../src/core/holdings.js';
import { homesOnce } from '../../src/core/replication.js';
import type { Salt } from '../../src/core/salt.js';
import { Unavailable } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import type { Random } from '../../src/random.js';
import { type Admitted, type Capacity, checkMemory, checkQuota } from './admission.js';
import { presentAt, type Retention, segmentsOf } from './retention.js';
import { capacityOf, type RetentionKeeper } from './retention-keeper.js';
import { freeSlot, type RetentionStore } from './retention-store.js';
import type { StoreTime } from './store-time.js';

/** The port between the HTTP layer and the retentions of a fleet. */

/** A prompt to retain. */
export interface RetentionOrder {
  readonly tokens: Uint32Array;
  readonly salt: Salt | null;
  /** The tenant; null if no API key is required. */
  readonly owner: string | null;
  /** The tenant whose share of the workers' time it uses; null for none. */
  readonly tenant: Tenant | null;
  /** The layer into which its blocks are published; null for none. The salt is then the layer's. */
  readonly layer: string | null;
  /** The adapter with which it is computed. Default: none. */
  readonly adapter?: AdapterRef | null | undefined;
  readonly ttlMs: number;
  /**
   * A mark of a request, in contrast to a pin: it replaces earlier marks of the same name, and of the same conversation, and shortens no time. Default: a
   * pin.
   */
  readonly mark?: { readonly name: string | null };
}

/** A retention as a client sees it. */
export interface RetentionView
  extends Pick<Retention, 'id' | 'owner' | 'layer' | 'tokens' | 'blocks' | 'createdMs' | 'expiresMs' | 'reason'> {
  /** Homes that have all blocks, for the block with the fewest, so far as this coordinator knows. */
  readonly copies: number;
  /** `pending`: not all homes have had it yet. `short`: some home has lost blocks, or has no memory for them. `failed`: it cannot be computed. */
  readonly state: 'pending' | 'held' | 'short' | 'failed';
}

export interface Retentions {
  /**
   * Orders that the fleet retains a prompt of at least one block. The same prompt of the same owner is retained once: its time begins again. Rejects with
   * `Unavailable` if the order cannot be stored.
   */
  add(order: RetentionOrder): Promise<RetentionView | Exclude<Admitted, { type: 'admitted' }>>;
  /**
   * Ends a retention. False if this owner has none with this id.
   * @param check throws if the caller may not end its publication into a layer
   */
  remove(id: string, owner: string | null, check: (layer: string) => void): Promise<boolean>;
  /** The retentions of an owner, oldest first. */
  list(owner: string | null): Promise<RetentionView[]>;
}

export interface LiveRetentionsOptions {
  /** Milliseconds since 1970. */
  readonly time: Pick<StoreTime, 'latestMs' | 'now'>;
  readonly random: Random;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly replicas: number;
  readonly store: RetentionStore;
  readonly keeper: Pick<RetentionKeeper, 'wake'>;
  readonly blocksOf: (tokens: Uint32Array, salt: Salt | null, adapter?: AdapterRef | null) => BlockMeta[];
}

/** The retentions of a live fleet: stores orders, which the keeper among the coordinators fulfils. */
export class LiveRetentions implements Retentions {
  constructor(private readonly options: LiveRetentionsOptions) {}

  async add(order: RetentionOrder): ReturnType<Retentions['add']> {
    const { store, keeper, random, time, blocksOf } = this.options;
    const blocks = blocksOf(order.tokens, order.salt, order.adapter);
    const id = idOf(order, Buffer.from(random.bytes(12)).toString('hex'));
    const createdMs = await time.now();
    let refused: Exclude<Admitted, { type: 'admitted' }> | null = null;
    let added: Retention | null = null;
    let replaced: readonly Retention[] = [];
    await store.change((all) => {
      const decided = this.decide(all, order, blocks, { id, createdMs });
      if ('type' in decided) {
        refused = decided;
        return null;
      }
      added = decided.retention;
      replaced = decided.replaced;
      return decided.all;
    });
    if (refused !== null) return refused;
    const retention = added as Retention | null;
    if (retention === null) throw new Unavailable('cannot store the pin; retry');
    // An equal retention may be without its prompt, which an earlier attempt could not store.
    if ((await store.prompt(retention)) === null) {
      const { tokens, salt, tenant, adapter } = order;
      await store.writePrompt(retention, { tokens, salt, tenant, adapter });
    }
    // With their prompts, whose slots are free now.
    await store.remove(replaced);
    keeper.wake();
    return this.viewOf(retention);
  }

  async remove(id: string, owner: string | null, check: (layer: string) => void): Promise<boolean> {
    const { store, keeper } = this.options;
    const found = this.present(await store.list()).find((each) => each.id === id && each.owner === owner);
    if (found === undefined) return false;
    if (found.layer !== null) check(found.layer);
    await store.remove([found]);
    keeper.wake();
    return true;
  }

  async list(owner: string | null): Promise<RetentionView[]> {
    const own = this.present(await this.options.store.list()).filter((each) => each.owner === owner);
    return Promise.all(own.map((each) => this.viewOf(each)));
  }

  /** The list with the new retention, or with the time of an equal one begun again. */
  private decide(
    all: readonly Retention[],
    { tokens, owner, layer, ttlMs, mark }: RetentionOrder,
    blocks: readonly BlockMeta[],
    { id, createdMs }: { readonly id: string; readonly createdMs: number },
  ):
    | { all: readonly Retention[]; retention: Retention; replaced: readonly Retention[] }
    | Exclude<Admitted, { type: 'admitted' }> {
    const expiresMs = createdMs + ttlMs;
    const last = blocks.at(-1)!.key;
    const present = presentAt(createdMs, all);
    const own = present.filter((each) => each.owner === owner && each.layer === layer);
    const equal = own.find(
      (each) => each.last === last && each.stage !== 'failed' && (mark !== undefined || !isMark(each)),
    );
    if (equal !== undefined) {
      const retention = { ...equal, expiresMs: mark ? Math.max(expiresMs, equal.expiresMs) : expiresMs };
      return { all: all.map((each) => (each.id === equal.id ? retention : each)), retention, replaced: [] };
    }
    const keys = new Set(blocks.map(({ key }) => key));
    const replaced = mark ? own.filter((each) => isReplaced(each, { id, keys, expiresMs })) : [];
    const others = present.filter((each) => !replaced.includes(each));
    const added = {
      id,
      owner,
      layer,
      tokens: tokens.length,
      blocks: blocks.length,
      segments: segmentsOf(blocks),
      last,
    };
    const quota = checkQuota(others, owner, tokens.length);
    const memory = quota.type === 'admitted' ? this.checkMemory(others, added) : quota;
    if (memory.type !== 'admitted') return memory;
    // Expired ones still have their slots: the keeper erases their prompts.
    const slot = freeSlot(all);
    if (slot === null)
      return {
        type: 'quota',
        why: 'cannot pin the prompt: expired pins are still being released; retry in some seconds',
      };
    const retention: Retention = { ...added, slot, createdMs, expiresMs, stage: 'pending', reason: null };
    return { all: [...all.filter((each) => !replaced.includes(each)), retention], retention, replaced };
  }

  private checkMemory(present: readonly Retention[], added: Pick<Retention, 'segments' | 'blocks'>): Admitted {
    const { roster, replicas } = this.options;
    if (roster.ring.members.length === 0) {
      throw new Unavailable('cannot pin the prompt: no worker is serving; retry when /health/ready returns 200');
    }
    const capacities = roster
      .members()
      .map((member): Capacity => ({ worker: member.id, blocks: capacityOf(member), blockBytes: member.blockBytes }));
    return checkMemory(
      present,
      added,
      homesOnce((segment) => roster.ring.homes(segment, replicas)),
      capacities,
    );
  }

  private async viewOf(retention: Retention): Promise<RetentionView> {
    const { id, owner, layer, tokens, blocks, createdMs, expiresMs, stage, reason } = retention;
    const { copies, most } = await this.copiesOf(retention);
    const complete = stage === 'settled' && copies >= most && most > 0;
    const state = stage === 'failed' || stage === 'pending' ? stage : complete ? 'held' : 'short';
    return { id, owner, layer, tokens, blocks, createdMs, expiresMs, reason, copies, state };
  }

  /** The copies at homes of the block with the fewest, and the homes that each block has. */
  private async copiesOf(retention: Retention): Promise<{ copies: number; most: number }> {
    const { store, roster, holdings, replicas, blocksOf } = this.options;
    const most = Math.min(replicas, roster.ring.members.length);
    const prompt = await store.prompt(retention);
    if (prompt === null) return { copies: 0, most };
    const homesOf = homesOnce((segment) => roster.ring.homes(segment, replicas));
    const copies = blocksOf(prompt.tokens, prompt.salt, prompt.adapter).map(({ key, segment }) => {
      const holders = holdings.holders(key);
      return homesOf(segment).filter((home) => holders.includes(home)).length;
    });
    return { copies: Math.min(...copies), most };
  }

  private present(all: readonly Retention[]): Retention[] {
    return presentAt(this.options.time.latestMs, all);
  }
}

/** The id of a retention begins with `mark-` if it is a mark, and then with a digest of its name, if it has one. */
function idOf({ mark, owner }: RetentionOrder, unique: string): string {
  if (mark === undefined) return `pin-${unique}`;
  if (mark.name === null) return `mark-${unique}`;
  return `mark-${hash('sha256', JSON.stringify([owner, mark.name]), 'hex').slice(0, 16)}-${unique}`;
}

function isMark({ id }: Retention): boolean {
  return id.startsWith('mark-');
}

/** Whether a new mark takes the place of a retention: a mark of the same name, or a prefix of the new one that expires no later. */
function isReplaced(
  retention: Retention,
  { id, keys, expiresMs }: { readonly id: string; readonly keys: ReadonlySet<string>; readonly expiresMs: number },
): boolean {
  if (!isMark(retention)) return false;
  const name = /^mark-[0-9a-f]{16}-/.exec(id)?.[0];
  if (name !== undefined && retention.id.startsWith(name)) return true;
  return keys.has(retention.last) && retention.expiresMs <= expiresMs;
}
