import type { Clock, Timer } from '../../src/clock.js';
import type { ObjectHash } from '../../src/objects/object-name.js';
import type { ObjectPeer } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';

/**
 * Whether this worker may answer for the objects that it is a home of without asking others. After a change of the ring, after its own start, and
 * after an isolation, other workers may have newer versions that they must still hand over. Until each of them confirms that it owes this
 * worker nothing, on the same ring, this worker asks them before it answers.
 */

/** Rings of the past whose homes are asked. */
const RINGS = 16;
/** How often the others are asked for their debts. */
const ASK_MS = 500;
const ANSWER_MS = 1_000;
/** Workers that are asked at once. In a large fleet to ask all takes long, and one that owes something, or cannot be asked, makes the others' answers useless. */
const ASKED_AT_ONCE = 32;

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
  private running = false;

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

  /** The other live workers that may have the newest version of an object. */
  sources(hash: ObjectHash): string[] {
    const { self, ring } = this.options;
    const homes = new Set([...ring.heirs(hash), ...this.past.flatMap((homesOf) => homesOf(hash))]);
    return [...homes].filter((home) => home !== self && ring.standing(home) !== 'gone');
  }

  /** Asks all others, until one of them may owe something. Once the ring changes meanwhile, it begins again. */
  async ask(): Promise<void> {
    if (this.settled || this.running) return;
    this.running = true;
    try {
      let round: number;
      do {
        round = this.round;
        if ((await this.owedNothing(round)) && round === this.round) {
          this.state = 'settled';
          this.past.length = 0;
        }
      } while (round !== this.round && this.asking !== null);
    } finally {
      this.running = false;
    }
  }

  private async owedNothing(round: number): Promise<boolean> {
    const { self, ring } = this.options;
    const { epoch } = ring;
    const others = ring.workers().filter((worker) => worker !== self);
    for (let from = 0; from < others.length && round === this.round; from += ASKED_AT_ONCE) {
      const asked = others.slice(from, from + ASKED_AT_ONCE);
      const owed = await Promise.all(asked.map((worker) => this.owedBy(worker, epoch)));
      if (owed.some((copies) => copies !== 0)) return false;
    }
    return true;
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
