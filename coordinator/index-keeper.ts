import type { ActorSystem } from '../src/actors/system.js';
import type { Bus, Subscription } from '../src/bus/bus.js';
import type { Clock, Timer } from '../src/clock.js';
import type { Holdings, Resync } from '../src/core/holdings.js';
import { ShoalError } from '../src/errors.js';
import type { Roster } from '../src/fleet/roster.js';
import type { FleetSubjects } from '../src/fleet/subjects.js';
import { ANNOUNCE_INTERVAL_MS, HOLDINGS_TIMEOUT_MS } from '../src/limits.js';
import type { Log } from '../src/log.js';
import { HoldingsDelta } from '../src/protocol/holdings.js';
import { ShardProtocol } from '../src/protocol/worker.js';
import { readMessage } from '../src/wire/read-message.js';

/** Keeps the index of holdings up to date: applies workers' changes, and gets a snapshot after a missed one. */
export class IndexKeeper {
  private listening: Subscription | null = null;
  private ticking: Timer | null = null;
  private readonly listeners: ((worker: string) => void)[] = [];
  private readonly stopped = new AbortController();

  constructor(
    private readonly holdings: Holdings,
    private readonly roster: Roster,
    private readonly actors: ActorSystem,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly subjects: FleetSubjects,
    private readonly log: Log,
  ) {}

  start(): void {
    this.listening = this.bus.subscribe(this.subjects.holdings('*'), ({ payload }) => {
      const change = readMessage(HoldingsDelta, payload);
      if (change) this.hear(change);
    });
    this.roster.listen((effect) => {
      if (effect.type === 'joined') this.resync(this.holdings.beginSnapshot(effect.id, effect.incarnation));
      if (effect.type === 'dead' || effect.type === 'left') this.holdings.drop(effect.id);
    });
    this.ticking = this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.checkAnnounced());
  }

  /** Applies a change of a worker's holdings. Ignores any other incarnation: a worker of another fleet may have the same id. */
  hear(change: HoldingsDelta): void {
    if (this.roster.alive(change.worker)?.incarnation === change.incarnation) this.apply(change);
  }

  /** Calls `listener` after each change of a worker's holdings. */
  listen(listener: (worker: string) => void): void {
    this.listeners.push(listener);
  }

  stop(): void {
    this.stopped.abort();
    this.listening?.unsubscribe();
    this.ticking?.cancel();
  }

  /** Drops expired promises, and compares the index with the sequence numbers that workers announce. */
  private checkAnnounced(): void {
    this.holdings.expire(this.clock.now());
    for (const { id, incarnation, state, holdingsSeq } of this.roster.members()) {
      if (state !== 'dead') this.resync(this.holdings.announced(id, incarnation, holdingsSeq));
    }
  }

  private apply(change: HoldingsDelta): void {
    this.resync(this.holdings.applyChange(change));
    for (const listener of this.listeners) listener(change.worker);
  }

  private resync(wanted: Resync | null): void {
    if (wanted) void this.fetchSnapshot(wanted);
  }

  private async fetchSnapshot(wanted: Resync): Promise<void> {
    const { worker, incarnation } = wanted;
    const shard = this.actors.ref(ShardProtocol, { node: worker, incarnation, actor: 'shard' });
    try {
      const pages = shard.stream('holdings', {}, { signal: this.stopped.signal, timeoutMs: HOLDINGS_TIMEOUT_MS });
      for await (const page of pages) this.resync(this.holdings.applyPage(wanted, page));
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      if (!this.stopped.signal.aborted) this.log.warn({ worker, err: error }, 'cannot get the holdings of a worker');
    }
  }
}
