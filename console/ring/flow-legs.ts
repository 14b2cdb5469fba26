import type { TimedFlow } from '../feed/fleet-model.js';

/** The copies that go from worker to worker at a time, and the sums of a minute. Pure. */

/** How long a flow is drawn. The coordinator tells of it when the blocks have arrived. */
export const FLOW_MS = 1_600;
/** Flows that are drawn at a time; the latest. @internal exported for tests. */
export const DRAWN_FLOWS = 160;

/** The flows of copies that can be seen at some time of a span, latest first. @param flows oldest first */
export function copiesWithin(flows: readonly TimedFlow[], from: number, until = from): TimedFlow[] {
  const seen: TimedFlow[] = [];
  for (let i = flows.length - 1; i >= 0 && seen.length < DRAWN_FLOWS; i--) {
    const flow = flows[i]!;
    if (flow.at + FLOW_MS <= from) break;
    if (flow.at <= until && flow.copied > 0) seen.push(flow);
  }
  return seen;
}

/** The blocks that went from one worker to another after a time, the largest flows first. */
export function flowSums(flows: readonly TimedFlow[], sinceMs: number): Omit<TimedFlow, 'at'>[] {
  const sums = new Map<string, Omit<TimedFlow, 'at'>>();
  for (const { at, from, to, fetched, copied } of flows) {
    if (at <= sinceMs) continue;
    const pair = `${from} ${to}`;
    const known = sums.get(pair);
    sums.set(pair, {
      ...{ from, to },
      fetched: (known?.fetched ?? 0) + fetched,
      copied: (known?.copied ?? 0) + copied,
    });
  }
  return [...sums.values()].sort((a, b) => b.fetched + b.copied - a.fetched - a.copied);
}
