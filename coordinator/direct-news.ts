import type { ActorSystem } from '../src/actors/system.js';
import type { Clock, Timer } from '../src/clock.js';
import type { Roster } from '../src/fleet/roster.js';
import { ANNOUNCE_INTERVAL_MS } from '../src/limits.js';
import { WorkerProtocol } from '../src/protocol/worker.js';

/**
 * Asks workers to send their announcements, holdings and leaves directly while this coordinator does not hear them over NATS, and in turn to pass
 * on the announcements of workers that it has no connection to yet.
 */

/** How long a worker continues after the last request: three intervals, so that two requests in a row may be lost. */
const FOLLOW_MS = 3 * ANNOUNCE_INTERVAL_MS;

export class DirectNews {
  private ticking: Timer | null = null;
  private turn = 0;

  constructor(
    private readonly actors: ActorSystem,
    private readonly roster: Roster,
    private readonly clock: Clock,
  ) {}

  start(): void {
    this.ticking = this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.ask());
    this.roster.listen((effect) => {
      if (effect.type === 'hearing') this.ask();
    });
    this.actors.onRoutesChanged(() => this.ask());
  }

  stop(): void {
    this.ticking?.cancel();
  }

  private ask(): void {
    if (this.roster.hears) return;
    const nodes = this.actors.linkedNodes();
    const relay = this.turn++ % Math.max(1, nodes.length);
    for (const [index, node] of nodes.entries()) {
      const epoch = index === relay ? this.roster.epoch : null;
      this.actors.ref(WorkerProtocol, { ...node, actor: 'worker' }).tell('follow', { forMs: FOLLOW_MS, epoch });
    }
  }
}
