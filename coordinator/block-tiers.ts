import type { ActorSystem } from '../src/actors/system.js';
import type { BlockKey, TierName } from '../src/core/block.js';
import { packKeys } from '../src/core/key.js';
import { fromWire, toWire } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import { CONTROL_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { HOLDINGS_KEYS_PER_MESSAGE } from '../src/protocol/holdings.js';
import { ShardProtocol } from '../src/protocol/worker.js';

/** Asks workers which of their tiers hold given blocks; the index does not record tiers. */
export class BlockTiers {
  constructor(
    private readonly roster: Roster,
    private readonly actors: ActorSystem,
    private readonly log: Log,
  ) {}

  /**
   * The fastest tier of each block, by worker. Blocks that have been evicted meanwhile, and blocks of a worker that does not answer, are
   * absent from the result.
   */
  async find(keysByWorker: ReadonlyMap<string, readonly BlockKey[]>): Promise<Map<string, Map<BlockKey, TierName>>> {
    const found = await Promise.all(
      [...keysByWorker].map(async ([worker, keys]) => [worker, await this.ask(worker, keys)] as const),
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
      this.log.warn({ worker, err: fromWire(toWire(error)) }, 'cannot get the tiers of blocks from a worker');
    }
    return found;
  }
}
