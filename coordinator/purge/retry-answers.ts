import type { Behavior } from '../../src/actors/protocol.js';
import type { ActorSystem } from '../../src/actors/system.js';
import type { SaltGroup } from '../../src/core/purge-selector.js';
import type { Log } from '../../src/log.js';
import { ANSWERS_ACTOR, AnswersProtocol } from '../../src/protocol/answers.js';

/** The answers that coordinators remember for retries, and that a purge makes them forget. */

/** Time to find the coordinators, if not all of them answer. */
const LOOKUP_MS = 1_000;
const FORGET_MS = 3_000;

/** Answers other coordinators. @param forget makes this one forget; returns the number of answers */
export function answersBehavior(forget: (group: SaltGroup) => number): Behavior<typeof AnswersProtocol> {
  return { forget: (group) => ({ answers: forget(group) }) };
}

export class RetryAnswers {
  /** @param coordinators how many there are, this one among them */
  constructor(
    private readonly actors: ActorSystem,
    private readonly coordinators: () => number,
    private readonly log: Log,
  ) {}

  /**
   * Makes all coordinators forget the answers of a group. Resolves with their number. A coordinator that does not answer forgets them by itself, a
   * minute after their end.
   */
  async forget(group: SaltGroup): Promise<number> {
    const found = await this.actors.lookup(AnswersProtocol, ANSWERS_ACTOR, LOOKUP_MS, this.coordinators());
    const counts = await Promise.all(
      found.map(async (coordinator) => {
        try {
          return (await coordinator.ask('forget', { ...group }, { timeoutMs: FORGET_MS })).answers;
        } catch (err) {
          this.log.warn({ err }, 'a coordinator does not forget the answers of a purge at once: it does in a minute');
          return 0;
        }
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
}
