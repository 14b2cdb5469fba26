import type { Bus, Subscription } from '../src/bus/bus.js';
import type { Maker } from '../src/core/maker.js';
import { type Accused, Tribunal } from '../src/core/tribunal.js';
import type { Roster } from '../src/fleet/roster.js';
import type { FleetSubjects } from '../src/fleet/subjects.js';
import type { PacedLog } from '../src/paced-log.js';
import { AuditMessage } from '../src/protocol/audit.js';
import { encode } from '../src/wire/msgpack.js';
import { readMessage } from '../src/wire/read-message.js';

/** The workers that members accuse of making wrong blocks, as a coordinator hears it. */

export interface QuarantinedWorkersOptions {
  readonly self: Maker;
  readonly bus: Bus;
  readonly roster: Roster;
  readonly subjects: FleetSubjects;
  readonly log: PacedLog;
  /** Enough workers have voted. */
  readonly onQuarantined: (worker: string, by: readonly string[]) => void;
}

/** Counts the workers' votes as workers do, and lifts a quarantine for an operator. A coordinator has no vote. */
export class QuarantinedWorkers {
  private readonly tribunal: Tribunal;
  private subscription: Subscription | null = null;

  constructor(private readonly options: QuarantinedWorkersOptions) {
    this.tribunal = new Tribunal(options.self.id);
  }

  async start(): Promise<void> {
    const { bus, subjects } = this.options;
    this.subscription = bus.subscribe(subjects.audit, ({ payload }) => {
      const message = readMessage(AuditMessage, payload);
      if (message) this.hear(message);
    });
  }

  async stop(): Promise<void> {
    this.subscription?.unsubscribe();
  }

  get accused(): readonly Accused[] {
    return this.tribunal.accused();
  }

  /** Pardons a worker's latest process, for all members. False if it is not quarantined. @throws Unavailable without NATS */
  pardon(id: string): boolean {
    const found = this.accused.findLast(({ maker }) => maker.id === id);
    if (!found) return false;
    const { maker } = found;
    const pardons = this.tribunal.pardonsOf(maker) + 1;
    const { bus, subjects, self } = this.options;
    bus.publish(subjects.audit, encode({ type: 'pardoned', from: self, maker, pardons } satisfies AuditMessage));
    this.pardoned(maker, pardons);
    return true;
  }

  private hear(message: AuditMessage): void {
    const { roster, log } = this.options;
    if (message.type === 'pardoned') {
      if (roster.members().every(({ id }) => id !== message.from.id)) this.pardoned(message.maker, message.pardons);
      return;
    }
    if (message.type !== 'vote' || !roster.has(message.from.id, message.from.incarnation)) return;
    const { maker } = message;
    const before = this.tribunal.standingOf(maker);
    const after = this.tribunal.vote(maker, message.from.id, message.pardons);
    if (before === after || after !== 'quarantined') return;
    const by = this.accused.find((accused) => accused.maker === maker)?.voters;
    log.state('maker', 'error', { maker, by }, 'a worker that makes wrong blocks is quarantined');
    this.options.onQuarantined(maker.id, by ?? []);
    roster.quarantine(maker);
  }

  private pardoned(maker: Maker, pardons: number): void {
    if (!this.tribunal.pardon(maker, pardons)) return;
    this.options.log.state('maker', 'error', { maker }, 'a quarantine was lifted');
    this.options.roster.pardon(maker);
  }
}
