import type { Clock, Timer } from '../../src/clock.js';
import type { ObjectHash } from '../../src/objects/object-name.js';
import type { ObjectPeer } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';

/**
 * Whether this worker may answer for the objects of which it is a home without asking others. After a change of the ring, after its own start, and
 * after it was cut off, other workers may have newer versions that they still have to hand over. Until each of them says that it owes this
 * worker nothing, on the same ring, this worker asks them before it answers.
 */

/** Rings of the past whose homes are asked. */
const RINGS = 16;
/** How often the others are asked for what they owe. */
const ASK_MS = 500;
const ANSWER_MS = 1_000;

type HomesOf = (hash: ObjectHash) => readonly string[];

export interface SettlingOptions {
  readonly self: string;
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly peerOf: (worker: string) => ObjectPeer | null;
}

export class Settling {
  /** The latest last. */
  private readonly past: HomesOf[] = [];
  private current: HomesOf;
  private asking: Timer | null = null;
  private state: 'settled' | 'unsettled' = 'unsettled';
  /** Counts what unsettles: an answer to a question of before is of no use. */
  private round = 0;

  constructor(private readonly options: SettlingOptions) {
    this.current = options.ring.snapshot();
  }

  get settled(): boolean {
    return this.state === 'settled';
  }

  start(): void {
    this.asking ??= this.options.clock.every(ASK_MS, () => void this.ask());
    void this.ask();
  }

  stop(): void {
    this.asking?.cancel();
    this.asking = null;
  }

  /** The ring has changed, or others may have changed objects without this worker. */
  unsettle(): void {
    this.past.push(this.current);
    if (this.past.length > RINGS) this.past.shift();
    this.current = this.options.ring.snapshot();
    this.state = 'unsettled';
    this.round++;
    if (this.asking !== null) void this.ask();
  }

  /** The living workers beside this one that may have the newest version of an object. */
  sources(hash: ObjectHash): string[] {
    const { self, ring } = this.options;
    const homes = new Set([...ring.heirs(hash), ...this.past.flatMap((homesOf) => homesOf(hash))]);
    return [...homes].filter((home) => home !== self && ring.standing(home) !== 'gone');
  }

  /** Asks all others once. */
  async ask(): Promise<void> {
    if (this.settled) return;
    const { self, ring } = this.options;
    const { round } = this;
    const { epoch } = ring;
    const others = ring.workers().filter((worker) => worker !== self);
    const owed = await Promise.all(others.map((worker) => this.owedBy(worker, epoch)));
    if (round !== this.round || owed.some((copies) => copies !== 0)) return;
    this.state = 'settled';
    this.past.length = 0;
  }

  /** The copies that a worker owes this one; null if that is not known. */
  private async owedBy(worker: string, epoch: string): Promise<number | null> {
    const { self, peerOf } = this.options;
    try {
      return (await peerOf(worker)?.owes(self, epoch, AbortSignal.timeout(ANSWER_MS))) ?? null;
    } catch {
      return null;
    }
  }
}
