import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startNatsServer } from '../cli/nats/embedded-server.js';
import { natsProgram } from '../cli/nats/nats-process.js';
import { Child } from '../cli/process/child.js';
import { SystemClock } from '../src/clock.js';
import { Lifecycle } from '../src/lifecycle.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { connect } from '../src/runtime/connect.js';
import { type Benchmark, type BenchOptions, machineLine, median, type Report, reportRow } from './report.js';
import { Echo, same } from './runtime-code.js';
import { callsPerSecond, itemsPerSecond, roundTrips } from './timing.js';

/** The runtime for users' code, between a driver and a node on this machine: calls, tasks, objects, streams, creation. */

const ROUNDS = 5;
const SLICE_MS = 300;
const IN_FLIGHT = 64;
const STREAM_ITEMS = 5_000;
const CREATED = 50;
const OBJECTS = [
  ['1 KiB', 2 ** 10],
  ['1 MiB', 2 ** 20],
  ['100 MiB', 100 * 2 ** 20],
] as const;

const now = () => performance.now();

/** What one round measured, by name and unit. */
type Round = ReadonlyMap<string, { readonly unit: string; readonly value: number }>;

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const life = new Lifecycle();
  try {
    options.progress('starting nats-server and a node');
    const fleet = await open(life, options);
    const rounds: Round[] = [];
    // The first round compiles the code of both processes.
    for (let round = 0; round <= Math.max(options.rounds ?? ROUNDS, 1); round++) {
      options.progress(`round ${round}`);
      const measured = await measure(fleet);
      if (round > 0) rounds.push(measured);
    }
    const rows = [...rounds[0]!].map(([name, { unit }]) =>
      reportRow(
        name,
        unit,
        rounds.map((round) => round.get(name)!.value),
      ),
    );
    return { name: 'runtime', machine: machineLine(), rows, ratios: [] };
  } finally {
    await life.stop();
  }
};

async function open(life: Lifecycle, options: BenchOptions): Promise<FleetClient> {
  const dir = life.use(await mkdtemp(join(tmpdir(), 'shoal-bench-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const path = await natsProgram(null, options.progress);
  const nats = life.use(await startNatsServer({ path }), (server) => server.stop());
  const secret = randomBytes(24).toString('hex');
  const { url, user, password } = nats;
  const code = fileURLToPath(new URL('./runtime-code.js', import.meta.url));
  const node = new Child({
    name: 'the node',
    script: fileURLToPath(new URL('../cli/main.js', import.meta.url)),
    args: ['node', '--actors', code, '--peer-socket', join(dir, 'node.sock')],
    environment: {
      ...ENVIRONMENT,
      SHOAL_NATS: url,
      SHOAL_NATS_USER: user,
      SHOAL_NATS_PASSWORD: password,
      SHOAL_SECRET: secret,
    },
    onLine: () => undefined,
  });
  life.use(node, (child) => child.stop(new SystemClock()));
  await node.ready;
  return life.use(await connect(url, { user, password, secret }), (fleet) => fleet.close());
}

const ENVIRONMENT = { PATH: process.env.PATH ?? '', SHOAL_LOG_LEVEL: 'error' };

async function measure(fleet: FleetClient): Promise<Round> {
  const round = new Map<string, { unit: string; value: number }>();
  const echo = await fleet.actor(Echo);
  const ask = () => echo.echo(1);
  round.set('call, one after another', { unit: 'us', value: median(await roundTrips(ask, SLICE_MS, now)) });
  round.set(`calls, ${IN_FLIGHT} in flight`, {
    unit: 'calls/s',
    value: await callsPerSecond(ask, IN_FLIGHT, SLICE_MS, now),
  });
  const task = fleet.task(same, { resources: {} });
  round.set('task, one after another', { unit: 'us', value: median(await roundTrips(() => task(1), SLICE_MS, now)) });
  round.set('items of a stream', { unit: 'items/s', value: await itemsPerSecond(echo.count(STREAM_ITEMS), now) });
  for (const [name, bytes] of OBJECTS) {
    const value = new Uint8Array(bytes);
    const startMs = now();
    await echo.echo(value);
    round.set(`${name} to an actor and back`, { unit: 'ms', value: now() - startMs });
  }
  const startMs = now();
  const actors = await Promise.all(Array.from({ length: CREATED }, () => fleet.actor(Echo)));
  round.set('creation of an actor', { unit: 'ms', value: (now() - startMs) / CREATED });
  await Promise.all([...actors, echo].map((actor) => actor.$kill()));
  return round;
}
