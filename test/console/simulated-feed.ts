import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CONSOLE_POLICY, readConsoleFiles } from '../../coordinator/console/console-files.js';
import { packageRoot } from '../../src/config/package-root.js';
import type { BlockFlow, FeedMessage, FeedSegment, FeedWorker, RequestStep } from '../../src/console/feed-messages.js';

/** The files of the console, with a feed of simulated workers and requests: as many as no fleet of this machine has. */

/** As often as a coordinator sends. */
const INTERVAL_MS = 100;
/** The hottest segments; each second some change. Copies are told of as often as workers are asked. */
const SEGMENTS = 96;
const [SEGMENT_TICKS, FLOW_TICKS, HAPPENING_TICKS] = [10, 5, 20] as const;
/** Times of a request after its arrival. */
const [PLACED_MS, STARTED_MS, FIRST_MS, ENDED_MS] = [1, 20, 60, 400] as const;

export interface SimulatedFeedOptions {
  readonly workers: number;
  /** Requests a second of its time. */
  readonly rate: number;
  /** How many times as fast its time passes. Default: 1. */
  readonly speed?: number;
}

export class SimulatedFeed {
  private constructor(
    readonly url: string,
    private readonly end: () => Promise<void>,
  ) {}

  static async start(options: SimulatedFeedOptions): Promise<SimulatedFeed> {
    const files = readConsoleFiles(join(packageRoot(), 'dist', 'console'));
    const server = createServer((request, response) => {
      if (request.url === '/v1/fleet/events') return feed(response, options);
      const file = files.get(request.url === '/' ? 'index.html' : (request.url ?? '').slice(1));
      response.writeHead(file === undefined ? 404 : 200, {
        'content-type': file?.contentType ?? 'text/plain',
        'content-security-policy': CONSOLE_POLICY,
      });
      response.end(file?.text ?? '');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return new SimulatedFeed(`http://127.0.0.1:${port}/`, async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
  }

  stop(): Promise<void> {
    return this.end();
  }
}

function feed(response: ServerResponse, { workers, rate, speed = 1 }: SimulatedFeedOptions): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (message: FeedMessage) => response.write(`data: ${JSON.stringify(message)}\n\n`);
  const startedMs = performance.now();
  send({
    ...{ type: 'hello', at: startedMs, version: 'simulated', model: 'simulated', role: 'operator' },
    ...{ routing: false, chaos: false, happened: [] },
  });
  const steps = new SimulatedSteps(workers, rate, startedMs);
  let ticks = 0;
  const tick = (at: number) => {
    const all = Array.from({ length: workers }, (_, i) => workerOf(i, ticks));
    // A fleet tells of those that changed: in turns, about as many as would.
    const changed = ticks === 0 ? all : all.filter((_, i) => (i + ticks) % 4 === 0);
    send({
      ...{ type: 'fleet', at, whole: ticks === 0, coordinators: 1, replicas: 2, nats: true, gone: [] },
      ...{ copies: { blocks: 4_000 + ticks, below: 0 }, workers: changed },
    });
    const told = steps.until(at);
    if (told.length > 0) send({ type: 'steps', steps: told, skipped: 0 });
    if (ticks % SEGMENT_TICKS === 0) {
      const segments = Array.from({ length: SEGMENTS }, (_, i) => segmentOf(i, ticks / SEGMENT_TICKS, workers));
      const some = ticks === 0 ? segments : segments.filter((_, i) => i % 4 === 0);
      send({ type: 'segments', at, whole: ticks === 0, segments: some, gone: [] });
    }
    if (ticks % FLOW_TICKS === 0) send({ type: 'flows', at, flows: flowsOf(ticks, workers) });
    if (ticks % HAPPENING_TICKS === 1)
      send({ type: 'happened', happening: { at, kind: 'serving', worker: idOf(ticks % workers) } });
    ticks++;
  };
  tick(startedMs);
  const timer = setInterval(() => {
    for (let i = 0; i < speed; i++) tick(startedMs + INTERVAL_MS * ticks);
  }, INTERVAL_MS);
  response.once('close', () => clearInterval(timer));
}

function workerOf(index: number, tick: number): FeedWorker {
  const [bytes, budget] = [2 ** 28 + ((index * 977 + tick * 31) % 700) * 2 ** 20, 2 ** 30];
  return {
    ...{ id: idOf(index), state: 'serving', device: 'cpu', quarantined: false, blocks: bytes >> 18, bytes, budget },
    ...{ running: (index + tick) % 5, waiting: 0, hit_rate: 0.7, compute_ms_per_token: 0.5 },
  };
}

function segmentOf(index: number, second: number, workers: number): FeedSegment {
  const [first, next, guest] = [index * 7, index * 7 + 1, index * 11 + 5].map((i) => idOf(i % workers));
  const id = (0x1000000 + index * 7919).toString(16).padStart(12, '0');
  const homes = [first!, next!];
  return { id, hits: (index * 3 + (second % 9)) % 40, blocks: 8, homes, holders: [first!, guest!] };
}

function flowsOf(tick: number, workers: number): BlockFlow[] {
  return Array.from({ length: 8 }, (_, i) => {
    const from = idOf((tick * 3 + i * 5) % workers);
    return { from, to: idOf((tick * 3 + i * 5 + 9) % workers), fetched: i % 3, copied: (i + tick) % 4 };
  });
}

const idOf = (index: number) => `worker-${index + 1}`;

/** The steps of requests that arrive at a fixed rate. */
class SimulatedSteps {
  private arrived = 0;
  private pending: RequestStep[] = [];

  constructor(
    private readonly workers: number,
    private readonly rate: number,
    private readonly startedMs: number,
  ) {}

  /** Those up to a time, in order. */
  until(at: number): RequestStep[] {
    for (; this.startedMs + (1_000 * this.arrived) / this.rate <= at; this.arrived++)
      this.pending.push(...this.arrive());
    this.pending.sort((a, b) => a.at - b.at);
    const later = this.pending.findIndex((step) => step.at > at);
    return this.pending.splice(0, later === -1 ? this.pending.length : later);
  }

  private arrive(): RequestStep[] {
    const id = this.arrived + 1;
    const at = this.startedMs + (1_000 * this.arrived) / this.rate;
    const worker = idOf((id * 29) % this.workers);
    const remote = id % 3 === 0 ? 256 : 0;
    const candidates = Array.from({ length: 6 }, (_, i) => {
      return { worker: idOf((id * 29 + i) % this.workers), cost_ms: 10 + i, local: 4, remote: 4, compute: 60 };
    });
    const placed = { worker, resumed: 0, candidates, sources: [idOf((id * 31 + 7) % this.workers)] };
    const cached = { local: 256, remote, computed: 320 - remote };
    return [
      { step: 'arrived', id, at, tokens: 576 },
      { step: 'placed', id, at: at + PLACED_MS, ...placed },
      { step: 'started', id, at: at + STARTED_MS, worker, cached, queue_ms: 2 },
      { step: 'first', id, at: at + FIRST_MS },
      { step: 'ended', id, at: at + ENDED_MS, tokens: 48, outcome: 'done' },
    ];
  }
}
