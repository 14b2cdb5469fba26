import { blockKeys, rootSeed } from '../../src/core/key.js';
import { ShoalError } from '../../src/errors.js';
import type { Fleet } from './fleet.js';
import type { SimCoordinator } from './sim-coordinator.js';
import { reference, SIM_FINGERPRINT } from './sim-model.js';
import { describe, type World } from './world.js';

/** Clients that have the fleet retain prompts, and what must come of it: all homes have all blocks in the end. */

const TTL_MS = 30 * 24 * 3_600_000;
const TRY_AGAIN_MS = 1_000;

interface Acknowledged {
  readonly id: string;
  readonly keys: readonly string[];
}

export class Retained {
  private readonly acknowledged: Acknowledged[] = [];
  /** What a coordinator that was asked last had to say against it; null for nothing. */
  private said: string | null = 'no coordinator was asked';
  private asking = false;

  constructor(
    private readonly world: World,
    private readonly fleet: Fleet,
    private readonly anyCoordinator: () => SimCoordinator | undefined,
  ) {}

  get count(): number {
    return this.acknowledged.length;
  }

  /** Orders that a prompt is retained, until a coordinator accepts or `untilMs`. */
  order(prompt: Uint32Array, untilMs: number): void {
    const { time } = this.world;
    if (time.nowMs > untilMs) return;
    const again = () => time.after(TRY_AGAIN_MS, () => this.order(prompt, untilMs));
    const coordinator = this.anyCoordinator();
    if (!coordinator?.serving || !coordinator.process.running) {
      again();
      return;
    }
    this.world.blocks.learn(reference(prompt, 1).blocks);
    const order = { tokens: prompt, salt: null, layer: null, owner: null, tenant: null, ttlMs: TTL_MS };
    coordinator.parts!.retentions.add(order).then(
      (answer) => {
        // A fleet without memory for it refuses it.
        if ('id' in answer) this.acknowledge(answer.id, prompt);
      },
      (error) => {
        if (error instanceof ShoalError) again();
        else this.world.violate('retained prompts', `an error without a class: ${describe(error)}`);
      },
    );
  }

  /** What is wrong with the retained prompts of a healed fleet, as the last look but one found; null for nothing. */
  fault(): string | null {
    if (this.acknowledged.length === 0 || !this.isDue) return null;
    void this.ask();
    return this.said ?? this.lacking();
  }

  /** A fleet whose NATS is empty knows the orders from living coordinators alone. A prompt that is taken for a cause of crashes is not computed. */
  private get isDue(): boolean {
    const { coordinators, started } = this.fleet;
    const livedOn = started.filter(({ id }) => coordinators.has(id)).length === coordinators.size;
    if (this.world.nats.wasEmptied && !livedOn) return false;
    if ([...coordinators.values()].some(({ quarantined }) => quarantined > 0)) return false;
    const blocks = this.acknowledged.reduce((sum, { keys }) => sum + keys.length, 0);
    return blocks <= this.fleet.shape.worker.cacheBlocks / 2;
  }

  private acknowledge(id: string, prompt: Uint32Array): void {
    const seed = rootSeed({ fingerprint: SIM_FINGERPRINT, adapter: '', salt: '' });
    const keys = [...blockKeys(prompt, seed)].map(({ key }) => key);
    this.acknowledged.push({ id, keys });
    this.world.trace.noteText(this.world.time.nowMs, id);
  }

  private lacking(): string | null {
    const enough = Math.min(this.world.replicas, this.fleet.workers.size);
    for (const { id, keys } of this.acknowledged) {
      const least = Math.min(...keys.map((key) => this.world.blocks.copies(key)));
      if (least < enough) return `a block of the retained prompt ${id} has ${least} copies`;
    }
    return null;
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.said = await this.complaint();
    this.asking = false;
  }

  private async complaint(): Promise<string | null> {
    for (const { id, parts } of this.fleet.coordinators.values()) {
      const listed = await parts?.retentions.list(null).catch(() => null);
      if (!listed) return `${id} does not list the retained prompts`;
      for (const { id: name } of this.acknowledged) {
        const found = listed.find((one) => one.id === name);
        if (found?.state !== 'held') return `${id} has the retained prompt ${name} as ${found?.state ?? 'unknown'}`;
      }
    }
    return null;
  }
}
