import type { Bus, Subscription } from '../bus/bus.js';
import { FLEET_COORDINATORS } from '../limits.js';
import { CoordinatorMessage } from '../protocol/announcement.js';
import { readMessage } from '../wire/read-message.js';
import type { FleetSubjects } from './subjects.js';

/**
 * The processes of coordinators that have announced themselves over the sealed bus. The bus vouches for them: it passes on nothing of a process that
 * has not proved that it lives. While NATS is away nobody is forgotten, since nobody can be heard.
 */
export class KnownCoordinators {
  /** Incarnations by id, the coordinator that was heard least recently first. */
  private readonly incarnations = new Map<string, string>();
  private listening: Subscription | null = null;

  constructor(
    private readonly bus: Bus,
    private readonly subjects: FleetSubjects,
  ) {}

  start(): void {
    this.listening = this.bus.subscribe(this.subjects.coordinator, ({ payload, from }) => {
      const said = readMessage(CoordinatorMessage, payload);
      if (said && from && said.id === from.id) this.remember(from.id, from.incarnation);
    });
  }

  stop(): void {
    this.listening?.unsubscribe();
  }

  /** Whether this process was heard, and none of its id since. */
  has(id: string, incarnation: string): boolean {
    return this.incarnations.get(id) === incarnation;
  }

  private remember(id: string, incarnation: string): void {
    this.incarnations.delete(id);
    this.incarnations.set(id, incarnation);
    if (this.incarnations.size > FLEET_COORDINATORS) this.incarnations.delete(this.incarnations.keys().next().value!);
  }
}
