import { setTimeout as pause } from 'node:timers/promises';
import type { ServedCompletion } from './completion.js';
import type { WorkloadRequest } from './workload.js';

/** Sends the requests of a workload, and records what became of each. */

/** One request of a load. */
export interface Served {
  readonly request: WorkloadRequest;
  /**
   * When it was due, by `performance.now()`. Latencies count from here, not from when the client came to send it: else a server that stalls would
   * hide its stall from the requests that it delays (coordinated omission).
   */
  readonly dueMs: number;
  readonly result: ServedCompletion | Error;
}

/** `open`: each request is sent at its time, however many run. `closed`: so many clients send one after another. */
export type Pace =
  | { readonly kind: 'open'; readonly timesMs: readonly number[] }
  | { readonly kind: 'closed'; readonly clients: number };

type Ask = (request: WorkloadRequest) => Promise<ServedCompletion>;

/** Resolves when all requests have ended. A request of a session is due when the one before it has ended, if that is later than its time. */
export function serveLoad(requests: readonly WorkloadRequest[], pace: Pace, ask: Ask): Promise<Served[]> {
  return pace.kind === 'open' ? open(requests, pace.timesMs, ask) : closed(requests, pace.clients, ask);
}

function open(requests: readonly WorkloadRequest[], timesMs: readonly number[], ask: Ask): Promise<Served[]> {
  const startMs = performance.now();
  const turns = new Turns();
  return Promise.all(
    requests.map((request, i) =>
      turns.take(request, async () => {
        const timeMs = startMs + timesMs[i]!;
        const turnMs = performance.now();
        if (timeMs > turnMs) await pause(timeMs - turnMs);
        return served(request, request.session === null ? timeMs : Math.max(timeMs, turnMs), ask);
      }),
    ),
  );
}

async function closed(requests: readonly WorkloadRequest[], clients: number, ask: Ask): Promise<Served[]> {
  const turns = new Turns();
  const all: Promise<Served>[] = [];
  let next = 0;
  const client = async () => {
    while (next < requests.length) {
      const request = requests[next++]!;
      const one = turns.take(request, () => served(request, performance.now(), ask));
      all.push(one);
      await one;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return Promise.all(all);
}

async function served(request: WorkloadRequest, dueMs: number, ask: Ask): Promise<Served> {
  const result = await ask(request).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
  return { request, dueMs, result };
}

/** Makes the requests of a session follow each other. */
class Turns {
  private readonly last = new Map<number, Promise<unknown>>();

  take<T>({ session }: WorkloadRequest, work: () => Promise<T>): Promise<T> {
    if (session === null) return work();
    const before = this.last.get(session);
    const turn = before === undefined ? work() : before.then(work);
    this.last.set(session, turn);
    return turn;
  }
}
