import type { KeyValue } from '../bus/key-value.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import { PacedLog } from '../paced-log.js';
import {
  type ForeignCharter,
  isProvisional,
  isSameFleet,
  type Joined,
  keepCharter,
  PROVISIONAL_MS,
  reclaimCharter,
  type StoredCharter,
} from './charter.js';
import { ANSWER_INTERVAL_MS } from './charter-word.js';

/** How long a member's message that it lives under another charter counts: longer than until the next two checks. */
const WORD_MS = 15_000;

export interface CharterKeeperOptions {
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells all members the charter of this process, so that they check the stored one, and members under another charter reply. */
  readonly say: (charter: StoredCharter) => void;
  /** Called if this process founded its charter only because NATS had lost the charter of a living fleet, which it does not fit. */
  readonly onOutlawed: (why: string) => void;
}

/**
 * Keeps the charter of a living fleet: puts it back if NATS loses it, or if a process puts another one in its place.
 *
 * A stored charter does not prove when it was written: any user of the bucket can put back the charter of an earlier fleet. A process therefore gives
 * way to a charter only if a member says on the bus, where no message can be replayed, that it lives under that charter.
 */
export class CharterKeeper {
  private readonly joinedMs: number;
  private readonly log: PacedLog;
  /** When a member said last that it lives under another charter, no older than this one. */
  private contradictedMs = Number.NEGATIVE_INFINITY;
  private answeredMs = Number.NEGATIVE_INFINITY;
  /** Since when a foreign charter has been stored; null if the stored one was this one at the last check. */
  private foreignSinceMs: number | null = null;
  private replaced = false;
  /** Of the stored charter that this process wrote last. */
  private wroteGeneration: number | null = null;
  private isProven: boolean;
  private charter: StoredCharter;

  constructor(
    { how, charter }: Joined,
    private readonly options: CharterKeeperOptions,
  ) {
    this.charter = charter;
    this.isProven = how === 'restored' || (how === 'joined' && !isProvisional(charter));
    this.joinedMs = options.clock.now();
    this.log = new PacedLog(options.log, options.clock);
  }

  /**
   * Whether this process is known to have the fleet's secret: it has opened a charter that another process sealed and that survived the time in which
   * members put theirs back, or has heard members. Who founds or replaces a charter proves nothing.
   */
  get provesSecret(): boolean {
    return this.isProven;
  }

  /** Compares the charter with the stored one. Rejects with the errors of the bucket. */
  async check(): Promise<void> {
    const proven = this.options.clock.now() - this.joinedMs >= PROVISIONAL_MS;
    const kept = await keepCharter(this.options.kv, this.charter, proven);
    if (kept.outcome === 'foreign') return this.faceForeign(kept);
    const { generation } = kept.charter;
    if (kept.by === 'written') this.wroteGeneration = generation;
    else if (kept.by === 'found' && !isProvisional(kept.charter)) this.isProven ||= generation !== this.wroteGeneration;
    if (kept.charter.generation > this.charter.generation)
      this.log.state('charter', 'info', kept.charter, 'the charter of the fleet stands');
    this.stands(kept.charter);
    if (kept.outcome !== 'restored') return;
    this.log.state(
      'charter',
      'warn',
      this.charter,
      'restored the charter of the fleet, which had been lost or overwritten',
    );
    this.options.say(this.charter);
  }

  /** A member says that it lives under this charter. */
  heard(theirs: StoredCharter): void {
    if (isSameFleet(theirs, this.charter)) return;
    const nowMs = this.options.clock.now();
    if (theirs.generation >= this.charter.generation) this.contradictedMs = nowMs;
    if (theirs.generation <= this.charter.generation && this.foreignSinceMs === null) this.answer(nowMs);
  }

  /** A process that starts asks whether members have another charter than this one. */
  asked(theirs: StoredCharter): void {
    if (!isSameFleet(theirs, this.charter)) this.answer(this.options.clock.now());
  }

  private answer(nowMs: number): void {
    if (nowMs - this.answeredMs < ANSWER_INTERVAL_MS) return;
    this.answeredMs = nowMs;
    this.options.say(this.charter);
  }

  /** Gives way to a fleet that lives, and takes the place of the charter of one that does not. */
  private async faceForeign(foreign: ForeignCharter): Promise<void> {
    const { clock, kv, say, onOutlawed } = this.options;
    const nowMs = clock.now();
    this.foreignSinceMs ??= nowMs;
    if (nowMs - this.contradictedMs < WORD_MS) {
      if (isProvisional(this.charter)) onOutlawed(foreign.difference);
      else if (!this.replaced)
        this.log.state('charter', 'error', this.charter, 'another fleet has replaced the charter of this fleet');
      this.replaced = true;
      return;
    }
    if (nowMs - this.foreignSinceMs < PROVISIONAL_MS) {
      say(this.charter);
      return;
    }
    const reclaimed = await reclaimCharter(kv, this.charter, foreign);
    if (reclaimed === null) return;
    this.wroteGeneration = reclaimed.generation;
    this.stands(reclaimed);
    this.log.state(
      'charter',
      'warn',
      reclaimed,
      'restored the charter of the fleet: nobody says that it lives under the one that replaced it',
    );
    say(reclaimed);
  }

  private stands(charter: StoredCharter): void {
    this.charter = charter;
    this.foreignSinceMs = null;
    this.replaced = false;
  }
}
