import { nodeKey } from '../../src/actors/envelope.js';
import type { Behavior } from '../../src/actors/protocol.js';
import type { ActorSystem } from '../../src/actors/system.js';
import type { Clock } from '../../src/clock.js';
import type { Disturbance } from '../../src/console/feed-messages.js';
import { DISTURBANCES_ACTOR, DisturbancesProtocol } from '../../src/protocol/disturbances.js';

/** Tells the other coordinators what an operator did to the fleet, and hears it from them: their consoles show the same fleet. */

/** Time to find the coordinators, if not all of them answer. */
const LOOKUP_MS = 1_000;
/** When those are looked for that were not found, since the order: it may have cost them, or this process, the bus. @internal exported for tests. */
export const TELL_AT_MS = [0, 5_000, 30_000, 90_000] as const;

/** A fault by order. */
export interface OrderedFault {
  readonly fault: Disturbance;
  /** Null if the fault is none of a worker. */
  readonly worker: string | null;
  /** For how long; null for a kill. */
  readonly seconds: number | null;
}

export interface DisturbanceNewsOptions {
  readonly actors: Pick<ActorSystem, 'lookup' | 'node'>;
  /** How many coordinators there are, this one among them. */
  readonly coordinators: () => number;
  readonly clock: Clock;
}

export class DisturbanceNews {
  private listener: (fault: OrderedFault, agoMs: number) => void = () => {};

  constructor(private readonly options: DisturbanceNewsOptions) {}

  /** Calls `listener` with each fault that another coordinator ordered. */
  listen(listener: (fault: OrderedFault, agoMs: number) => void): void {
    this.listener = listener;
  }

  /** The behavior of the actor that hears the others. */
  behavior(): Behavior<typeof DisturbancesProtocol> {
    return { ordered: ({ agoMs, ...fault }) => this.listener(fault, agoMs) };
  }

  /** Tells the others in the background. One that is not found within two minutes is not told: its console lacks the event. */
  tell(fault: OrderedFault): void {
    const { actors, clock, coordinators } = this.options;
    const orderedMs = clock.now();
    const told = new Set([nodeKey(actors.node)]);
    // During the fault, they may be silent.
    const known = coordinators();
    for (const waitMs of TELL_AT_MS) {
      clock.after(waitMs, () => {
        if (told.size < known) void this.tellOthers(fault, orderedMs, told, known);
      });
    }
  }

  private async tellOthers(fault: OrderedFault, orderedMs: number, told: Set<string>, known: number): Promise<void> {
    const { actors, clock } = this.options;
    const found = await actors.lookup(DisturbancesProtocol, DISTURBANCES_ACTOR, LOOKUP_MS, known);
    for (const coordinator of found) {
      const instance = nodeKey(coordinator.address);
      if (told.has(instance)) continue;
      told.add(instance);
      coordinator.tell('ordered', { ...fault, agoMs: clock.now() - orderedMs });
    }
  }
}
