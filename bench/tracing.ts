import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { startNatsServer } from '../cli/nats/embedded-server.js';
import { natsProgram } from '../cli/nats/nats-process.js';
import { NO_SPAN, type Span } from '../src/trace/span.js';
import type { BenchNats } from './actor-bus.js';
import { FleetApi } from './fleet/fleet-api.js';
import { FleetProcess } from './fleet/fleet-process.js';
import { type BenchOptions, machineLine, median, quotients, type Report, reportRatio, reportRow } from './report.js';
import { forkPart, type Measured, measureSide, type Side } from './request.js';
import type { StandInStart } from './request-worker.js';
import { ScratchFolder } from './scratch-folder.js';

/**
 * Benchmark `tracing`: what traces cost a coordinator. Two coordinators of one fleet take turns in each round: one without a collector, and one that sends 10 %
 * of its requests to one. Their worker answers at once, so that the share is the greatest possible.
 */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const ROUNDS = 18;
const WARM_UP_ROUNDS = 2;
const SHARE = 0.1;
/** A coordinator's spans for one request: of HTTP, of the generation, of its placement and of its attempt. */
const SPANS = 4;
/** Calls for the measurement of one. */
const CALLS = 1_000_000;

const SIDES = ['off', 'sampled'] as const;
type SideName = (typeof SIDES)[number];
const LABELS: Record<SideName, string> = { off: 'without a collector', sampled: `${100 * SHARE} % of the requests` };

export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  progress('starting nats-server, two coordinators, a collector and a worker without a model');
  const nats = await startNatsServer({ path: await natsProgram(null, progress) });
  const scratch = new ScratchFolder('bench');
  const bench = new TracingBench(nats, scratch.path);
  const samples: Record<SideName, Measured[]> = { off: [], sampled: [] };
  const places: number[] = [];
  try {
    await bench.start();
    for (let round = -WARM_UP_ROUNDS; round < Math.max(rounds ?? ROUNDS, 1); round++) {
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
        const one = await bench.measure(side);
        progress(
          `${round < 0 ? 'warming up' : `round ${round + 1}`}: ${LABELS[side]}: ${one.cpuMicros.toFixed(1)} µs of CPU each`,
        );
        if (round >= 0) samples[side].push(one);
      }
      if (round >= 0) places.push(SPANS * microsOfPlace());
    }
    if (bench.collected === 0) throw new Error('the collector got nothing: nothing was traced');
  } finally {
    await bench.close();
    await nats.stop();
    await scratch.remove();
  }
  return report(samples, places);
}

class TracingBench {
  /** Requests that the collector got. */
  collected = 0;
  private readonly coordinators: FleetProcess[] = [];
  private worker: ChildProcess | null = null;
  private collector: Server | null = null;
  private sides: Record<SideName, Side> | null = null;
  private prompts = 0;

  constructor(
    private readonly nats: BenchNats,
    private readonly folder: string,
  ) {}

  async start(): Promise<void> {
    const { url, user, password } = this.nats;
    const secret = randomBytes(24).toString('base64url');
    const endpoint = await this.collect();
    const off = await this.coordinator('off', secret, []);
    const sampled = await this.coordinator('sampled', secret, [
      '--otlp-endpoint',
      endpoint,
      '--otlp-sampling',
      String(SHARE),
    ]);
    const { fingerprint } = off;
    const start: StandInStart = { nats: { url, user, password }, secret, fingerprint, folder: this.folder };
    const [worker, ready] = forkPart('request-worker', start);
    this.worker = worker;
    await ready;
    for (const { side } of [off, sampled])
      await new FleetApi(side.url.href.replace(/\/$/, '')).until((workers) =>
        workers.some(({ state }) => state === 'serving'),
      );
    this.sides = { off: off.side, sampled: sampled.side };
  }

  measure(name: SideName): Promise<Measured> {
    return measureSide(this.sides![name], () => {
      const prompt = `Question ${++this.prompts}: where do the boats of the harbor go when the wind turns to the north?\nAnswer:`;
      return JSON.stringify({ prompt, max_tokens: 1, temperature: 0 });
    });
  }

  async close(): Promise<void> {
    if (this.worker?.connected) {
      this.worker.disconnect();
      await once(this.worker, 'exit');
    }
    for (const coordinator of this.coordinators) await coordinator.stop();
    this.collector?.close();
  }

  /** Starts a collector that discards its input. */
  private async collect(): Promise<string> {
    const server = createServer((request, response) => {
      this.collected++;
      request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
    });
    this.collector = server;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  private async coordinator(name: SideName, secret: string, traced: readonly string[]) {
    const { url, user, password } = this.nats;
    const args = ['--nats', url, '--nats-user', user, '--port', '0', '--insecure', '--coordinator-id', name, ...traced];
    const env = { SHOAL_SECRET: secret, SHOAL_API_KEYS: '', SHOAL_NATS_PASSWORD: password, SHOAL_LOG_LEVEL: 'info' };
    const started = new FleetProcess([process.execPath, CLI, 'coordinator', ...args], env);
    this.coordinators.push(started);
    const listening = JSON.parse(await started.logged('"msg":"listening"')) as { url: string; fingerprint: string };
    const side: Side = { url: new URL(listening.url), pid: started.pid };
    return { side, fingerprint: listening.fingerprint };
  }
}

/** Time of one span that is not recorded: its begin with attributes, more attributes, and its end. */
function microsOfPlace(): number {
  let span: Span = NO_SPAN;
  const startedMs = performance.now();
  for (let i = 0; i < CALLS; i++) {
    span = span.child('shoal.attempt', { 'shoal.worker': 'worker-1', 'shoal.attempt': i }, 'client');
    span.set({ 'shoal.cached.local': i, 'shoal.computed': i });
    span.end();
  }
  return (1_000 * (performance.now() - startedMs)) / CALLS;
}

/** The mean of each round and the next. An odd last round stands alone. */
function meansOfTwo(values: readonly number[]): number[] {
  const firsts = values.filter((_, i) => i % 2 === 0);
  return firsts.map((first, i) => (first + (values[2 * i + 1] ?? first)) / 2);
}

function report(samples: Record<SideName, Measured[]>, places: readonly number[]): Report {
  const cpu = (side: SideName) => samples[side].map(({ cpuMicros }) => cpuMicros);
  // What comes second in a round costs more, whichever it is.
  const bothOrders = (side: SideName) => meansOfTwo(cpu(side));
  const each = median(cpu('off'));
  return {
    name: 'tracing',
    machine: machineLine(),
    rows: [
      ...SIDES.map((side) => reportRow(`${LABELS[side]}: CPU of the coordinator`, 'µs', cpu(side))),
      reportRow('places for spans, nothing recorded', 'µs', places),
    ],
    ratios: [
      reportRatio('10 % traced / without a collector, CPU', quotients(bothOrders('sampled'), bothOrders('off')), {
        kind: 'at most',
        value: 1.03,
      }),
      reportRatio(
        'places for spans / request, CPU',
        places.map((micros) => micros / each),
        { kind: 'at most', value: 0.01 },
      ),
    ],
  };
}
