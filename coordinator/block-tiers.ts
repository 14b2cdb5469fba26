import type { ActorSystem } from '../src/actors/system.js';
import type { BlockKey, TierName } from '../src/core/block.js';
import { packKeys } from '../src/core/key.js';
import { fromWire, toWire } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { CONTROL_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../src/protocol/holdings.js';
import { ShardProtocol } from '../src/protocol/worker.js';

/** Finds out from workers in which of their tiers blocks are, which the index does not know. */
export class BlockTiers {
  constructor(
    private readonly roster: Roster,
    private readonly actors: ActorSystem,
    private readonly log: Log,
  ) {}

  /** Of each worker the fastest tier of each of its blocks. What is gone meanwhile, or whose worker does not answer, is left out. */
  async find(asked: ReadonlyMap<string, readonly BlockKey[]>): Promise<Map<string, Map<BlockKey, TierName>>> {
    const found = await Promise.all(
      [...asked].map(async ([worker, keys]) => [worker, await this.ask(worker, keys)] as const),
    );
    return new Map(found);
  }

  private async ask(worker: string, keys: readonly BlockKey[]): Promise<Map<BlockKey, TierName>> {
    const found = new Map<BlockKey, TierName>();
    const member = this.roster.alive(worker);
    if (member === null) return found;
    const shard = this.actors.ref(ShardProtocol, { node: worker, incarnation: member.incarnation, actor: 'shard' });
    const some = keys.slice(0, HOLDINGS_KEYS_PER_MESSAGE);
    try {
      const { tiers } = await shard.ask('tiers', { keys: packKeys(some) }, { timeoutMs: CONTROL_TIMEOUT_MS });
      for (const [index, tier] of tiers.entries()) if (tier !== null) found.set(some[index]!, tier);
    } catch (error) {
      this.log.warn({ worker, err: fromWire(toWire(error)) }, 'a worker did not say in which tiers its blocks are');
    }
    return found;
  }
}
