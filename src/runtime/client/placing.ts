import { abortReason } from '../../async/abort.js';
import { InvalidRequest, Overloaded } from '../../errors.js';
import type { HostedExport, NodeView } from '../core/node-view.js';
import { type CodeDemand, rankNodes } from '../core/scheduler.js';
import type { RuntimeMember } from '../member/member.js';

/** Finds a node for an actor or a task: asks the best one, then the next, and waits for room while all are busy. */

/** How long a demand that no known node can meet waits for one: a process that has just started may not have heard of all. */
const PATIENCE_MS = 3_000;
/** Pause after all nodes refused although they had announced room: the next announcement may bring news. */
const REFUSED_PAUSE_MS = 20;

interface Placed<T> {
  readonly value: T;
  readonly node: NodeView;
}

/**
 * Places a demand. `attempt` asks one node; Overloaded from it means the next one. Suspected nodes are asked if no other can meet it.
 * @throws InvalidRequest if no node hosts the code, or is large enough; what `attempt` throws; the signal's reason; Cancelled once this process
 * has left the fleet
 */
export async function place<T>(
  member: RuntimeMember,
  demand: CodeDemand,
  attempt: (node: NodeView) => Promise<T>,
  signal?: AbortSignal,
): Promise<Placed<T>> {
  const { clock, surroundings } = member.options;
  const untilMs = clock.now() + PATIENCE_MS;
  for (;;) {
    member.requireOpen();
    if (signal?.aborted) throw abortReason(signal);
    const isLate = clock.now() >= untilMs;
    const nodes = isLate ? member.directory.nodes() : member.directory.trusted();
    const ranking = rankNodes(nodes, demand, surroundings.random.next());
    if (ranking.kind === 'ambiguous') throw new InvalidRequest(`${demand.name}: ${ranking.why}`);
    if (ranking.kind === 'impossible' && isLate) throw new InvalidRequest(`${demand.name}: ${ranking.why}`);
    if (ranking.kind === 'nodes') {
      for (const node of ranking.nodes) {
        const value = await tried(() => attempt(node));
        if (value !== REFUSED) return { value, node };
        if (signal?.aborted) throw abortReason(signal);
      }
      await news(member, REFUSED_PAUSE_MS, signal);
    } else {
      await news(member, Math.max(1, untilMs - clock.now()), signal);
    }
  }
}

/** The version of a demand's code that the fleet hosts, and its methods that return streams. Throws and waits like `place`. */
export async function hostedFor(
  member: RuntimeMember,
  demand: CodeDemand,
  signal?: AbortSignal,
): Promise<HostedExport> {
  const { clock } = member.options;
  const untilMs = clock.now() + PATIENCE_MS;
  for (;;) {
    member.requireOpen();
    if (signal?.aborted) throw abortReason(signal);
    const ranking = rankNodes(member.directory.nodes(), demand, 0);
    if (ranking.kind === 'nodes' || ranking.kind === 'busy') return ranking.hosted;
    if (ranking.kind === 'ambiguous' || clock.now() >= untilMs)
      throw new InvalidRequest(`${demand.name}: ${ranking.why}`);
    await news(member, Math.max(1, untilMs - clock.now()), signal);
  }
}

function news({ directory, leaving }: RuntimeMember, timeMs: number, signal: AbortSignal | undefined): Promise<void> {
  return directory.news(timeMs, signal ? AbortSignal.any([signal, leaving]) : leaving);
}

const REFUSED = Symbol('refused');

async function tried<T>(attempt: () => Promise<T>): Promise<T | typeof REFUSED> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof Overloaded) return REFUSED;
    throw error;
  }
}
