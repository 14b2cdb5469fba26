import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startNatsServer } from '../cli/nats/embedded-server.js';
import { natsProgram } from '../cli/nats/nats-process.js';
import type { BenchNats } from './actor-bus.js';
import { cpuSecondsOf } from './fleet/cpu-time.js';
import { FleetApi } from './fleet/fleet-api.js';
import { FleetProcess } from './fleet/fleet-process.js';
import { HttpLane } from './http-lane.js';
import { type BenchOptions, machineLine, median, quotients, type Report, reportRatio, reportRow } from './report.js';
import type { StandInStart } from './request-worker.js';
import { ScratchFolder } from './scratch-folder.js';
import { callsPerSecond, roundTrips } from './timing.js';

/**
 * Benchmark `request`: the cost of a coordinator per request. A real coordinator, with a worker that answers at once, is compared with an HTTP server
 * that makes one request over NATS and nothing else. Both take turns in each round.
 */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const ROUNDS = 7;
/** Rounds before the first one that counts: the engine compiles the code of all processes during them. */
const WARM_UP_ROUNDS = 2;
const CLIENTS = 64;
const SLICE_MS = 2_000;
/** How long a round measures one client alone. */
const ALONE_MS = 500;
const LONG_TOKENS = 32;

const now = () => performance.now();

/** The kinds of requests: answers of one token, of many in one piece, of many as a stream; or the bare server. */
const KINDS = ['bare', 'one', 'long', 'stream'] as const;
type Kind = (typeof KINDS)[number];
const LABELS: Record<Kind, string> = {
  bare: 'bare HTTP server and NATS request',
  one: 'one token',
  long: `${LONG_TOKENS} tokens`,
  stream: `${LONG_TOKENS} tokens as a stream`,
};

export interface Measured {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Micros: number;
}

/** A server to ask, with the process that it costs time. */
export interface Side {
  readonly url: URL;
  readonly pid: number;
}

export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  progress('starting nats-server, a coordinator and a worker without a model');
  const nats = await startNatsServer({ path: await natsProgram(null, progress) });
  const scratch = new ScratchFolder('bench');
  const bench = new RequestBench(nats, scratch.path);
  const samples = Object.fromEntries(KINDS.map((kind) => [kind, [] as Measured[]])) as Record<Kind, Measured[]>;
  try {
    await bench.start();
    for (let round = -WARM_UP_ROUNDS; round < Math.max(rounds ?? ROUNDS, 1); round++) {
      for (const kind of round % 2 === 0 ? KINDS : KINDS.toReversed()) {
        const one = await bench.measure(kind);
        const shown = `${one.perSecond.toFixed(0)}/s, ${one.cpuMicros.toFixed(0)} µs of CPU each, p50 ${one.p50Micros.toFixed(0)} µs`;
        progress(`${round < 0 ? 'warming up' : `round ${round + 1}`}: ${LABELS[kind]}: ${shown}`);
        if (round >= 0) samples[kind].push(one);
      }
    }
  } finally {
    await bench.close();
    await nats.stop();
    await scratch.remove();
  }
  return report(samples);
}

class RequestBench {
  private readonly children: ChildProcess[] = [];
  private coordinator: FleetProcess | null = null;
  private sides: { readonly bare: Side; readonly shoal: Side } | null = null;
  private prompts = 0;

  constructor(
    private readonly nats: BenchNats,
    private readonly folder: string,
  ) {}

  async start(): Promise<void> {
    const { url, user, password } = this.nats;
    const nats = { url, user, password };
    const secret = randomBytes(24).toString('base64url');
    const args = ['--nats', url, '--nats-user', user, '--port', '0', '--insecure', '--coordinator-id', 'coordinator-1'];
    const env = { SHOAL_SECRET: secret, SHOAL_API_KEYS: '', SHOAL_NATS_PASSWORD: password, SHOAL_LOG_LEVEL: 'info' };
    this.coordinator = new FleetProcess([process.execPath, CLI, 'coordinator', ...args], env);
    const listening = await this.coordinator.logged('"msg":"listening"');
    const { url: own, fingerprint } = JSON.parse(listening) as { url: string; fingerprint: string };
    const start: StandInStart = { nats, secret, fingerprint, folder: this.folder };
    await this.fork('request-worker', start);
    const [bare, port] = await this.fork('bare-request', nats);
    await new FleetApi(own).until((workers) => workers.some(({ state }) => state === 'serving'));
    const bareUrl = new URL(`http://127.0.0.1:${port}`);
    this.sides = {
      shoal: { url: new URL(own), pid: this.coordinator.pid },
      bare: { url: bareUrl, pid: bare.pid! },
    };
  }

  async measure(kind: Kind): Promise<Measured> {
    return measureSide(this.sides![kind === 'bare' ? 'bare' : 'shoal'], () => this.body(kind));
  }

  async close(): Promise<void> {
    for (const child of this.children) {
      if (!child.connected) continue;
      child.disconnect();
      await once(child, 'exit');
    }
    await this.coordinator?.stop();
  }

  /** No two prompts are equal, as with people. */
  private body(kind: Kind): string {
    const prompt = `Question ${++this.prompts}: where do the boats of the harbor go when the wind turns to the north?\nAnswer:`;
    const tokens = kind === 'bare' || kind === 'one' ? 1 : LONG_TOKENS;
    return JSON.stringify({ prompt, max_tokens: tokens, temperature: 0, ...(kind === 'stream' && { stream: true }) });
  }

  private async fork(name: string, start: object): Promise<[ChildProcess, unknown]> {
    const [child, ready] = forkPart(name, start);
    this.children.push(child);
    return [child, await ready];
  }
}

/** Starts a part of the benchmark in a separate process, which ends when it is disconnected. Returns the part's first message. */
export function forkPart(name: string, start: object): [ChildProcess, Promise<unknown>] {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const child = fork(file, [`shoal-bench-${name}`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.send(start);
  const ready = Promise.race([
    once(child, 'message').then(([message]) => message as unknown),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${name} ended with ${code} before it was ready`);
    }),
  ]);
  return [child, ready];
}

/** Asks a server for completions with these bodies, first by one client, then by many. */
export async function measureSide(side: Side, body: () => string): Promise<Measured> {
  const lanes = await Promise.all(Array.from({ length: CLIENTS }, () => HttpLane.dial(side.url)));
  const idle = [...lanes];
  let asked = 0;
  const ask = async () => {
    const lane = idle.pop()!;
    await lane.post('/v1/completions', body());
    asked++;
    idle.push(lane);
  };
  try {
    const alone = await roundTrips(ask, ALONE_MS, now);
    asked = 0;
    const cpuSeconds = cpuSecondsOf(side.pid);
    const perSecond = await callsPerSecond(ask, CLIENTS, SLICE_MS, now);
    const cpuMicros = (1e6 * (cpuSecondsOf(side.pid) - cpuSeconds)) / asked;
    return { perSecond, cpuMicros, p50Micros: median(alone) };
  } finally {
    for (const lane of lanes) lane.close();
  }
}

function report(samples: Record<Kind, Measured[]>): Report {
  const of = (kind: Kind, field: keyof Measured) => samples[kind].map((one) => one[field]);
  return {
    name: 'request',
    machine: machineLine(),
    rows: KINDS.flatMap((kind) => [
      reportRow(`${LABELS[kind]}: clients ${CLIENTS}`, 'answers/s', of(kind, 'perSecond')),
      reportRow(`${LABELS[kind]}: CPU of the server`, 'µs', of(kind, 'cpuMicros')),
      reportRow(`${LABELS[kind]}: one client, median`, 'µs', of(kind, 'p50Micros')),
    ]),
    ratios: [
      reportRatio('one token / bare, answers/s', quotients(of('one', 'perSecond'), of('bare', 'perSecond')), {
        kind: 'at least',
        value: 0.5,
      }),
      ...KINDS.slice(1).map((kind) =>
        reportRatio(`${LABELS[kind]} / bare, CPU`, quotients(of(kind, 'cpuMicros'), of('bare', 'cpuMicros'))),
      ),
      reportRatio('one token: one client, median', of('one', 'p50Micros'), { kind: 'at most', value: 600 }, 'µs'),
    ],
  };
}
