import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import type { Fleet, FleetEvent, FleetRequest } from '../fleet.js';
import type { History } from './history.js';
import type { RequestJournal } from './request-journal.js';
import type { TenantCounts } from './tenant-counts.js';

/** A fleet whose requests the console sees: passes everything through, and reports each request to the counters. */
export function watchedFleet(fleet: Fleet, watching: Watching): Fleet {
  return {
    generate: (request, signal) => follow(fleet.generate(request, signal), request, watching),
    view: () => fleet.view(),
    explain: (tokens, salt, adapter) => fleet.explain(tokens, salt, adapter),
    drain: (worker) => fleet.drain(worker),
    undrain: (worker) => fleet.undrain(worker),
    departure: (worker) => fleet.departure(worker),
    recommendation: () => fleet.recommendation(),
    pardon: (worker) => fleet.pardon(worker),
    resetCache: () => fleet.resetCache(),
    health: () => fleet.health(),
  };
}

interface Watching {
  readonly journal: RequestJournal;
  readonly history: History;
  readonly tenants: TenantCounts;
  readonly clock: Pick<Clock, 'now'>;
}

async function* follow(
  events: AsyncIterable<FleetEvent>,
  { requestId, asked, tenant, tokens: prompt }: FleetRequest,
  { journal, history, tenants, clock }: Watching,
): AsyncGenerator<FleetEvent> {
  // From the client's request on, so that the page and the answer tell the same time to the first token.
  const arrivedMs = asked?.arrivedMs ?? clock.now();
  const followed = journal.arrived({
    ...{ requestId, tenant: tenant?.name ?? null, promptTokens: prompt.length, arrivedMs },
    clientId: asked?.id ?? null,
  });
  const use = tenants.begin(tenant?.name ?? null, arrivedMs);
  let generated = 0;
  let latestMs = arrivedMs;
  // A reader that leaves early ends this generator at a `yield`.
  let outcome: 'done' | 'cancelled' | 'failed' = 'cancelled';
  try {
    for await (const event of events) {
      if (event.type === 'start') {
        history.started(event.cached, event.queueMs);
        use.started(event.cached);
      }
      if (event.type === 'tokens') {
        const nowMs = clock.now();
        if (event.ids.length > 0) followed.generated();
        if (generated === 0) {
          history.first(nowMs - arrivedMs);
        } else if (event.ids.length > 0) history.next((nowMs - latestMs) / event.ids.length);
        latestMs = nowMs;
        generated += event.ids.length;
        history.generated(event.ids.length);
        use.generated(event.ids.length);
      }
      if (event.type === 'end') outcome = 'done';
      yield event;
    }
  } catch (error) {
    outcome = error instanceof Cancelled ? 'cancelled' : 'failed';
    throw error;
  } finally {
    followed.ended(generated, outcome);
    history.ended(outcome);
    use.ended(outcome);
  }
}
