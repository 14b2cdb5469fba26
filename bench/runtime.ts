import { Lifecycle } from '../src/lifecycle.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { mappedMs } from './memory-map.js';
import { besideRay } from './ray.js';
import {
  type Benchmark,
  type BenchOptions,
  machineLine,
  median,
  quotients,
  type Report,
  reportRatio,
  reportRow,
} from './report.js';
import { Echo, same } from './runtime-code.js';
import { runtimeFleet } from './runtime-fleet.js';
import { callsPerSecond, itemsPerSecond, roundTrips } from './timing.js';

/** The runtime for users' code, between a driver and a node on this machine: calls, tasks, objects, streams, creation; compared with Ray, if it is installed. */

const ROUNDS = 5;
const SLICE_MS = 300;
const IN_FLIGHT = 64;
const PAIRS = 4;
const STREAM_ITEMS = 5_000;
const CREATED = 50;
const LARGEST_BYTES = 100 * 2 ** 20;
const OBJECTS = [
  ['1 KiB', 2 ** 10],
  ['1 MiB', 2 ** 20],
  ['100 MiB', LARGEST_BYTES],
] as const;
const MAP = 'memory map of 100 MiB';

const now = () => performance.now();

/** The measurements of one round, by name and unit. */
type Round = Map<string, { readonly unit: string; readonly value: number }>;

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const life = new Lifecycle();
  try {
    const fleet = await runtimeFleet(life, options.progress);
    const rounds: Round[] = [];
    // The first round compiles the code of both processes.
    for (let round = 0; round <= Math.max(options.rounds ?? ROUNDS, 1); round++) {
      options.progress(`round ${round}`);
      const measured = await measure(fleet);
      if (round > 0) rounds.push(measured);
    }
    const samples = (name: string) => rounds.map((round) => round.get(name)!.value);
    const rows = [...rounds[0]!].map(([name, { unit }]) => reportRow(name, unit, samples(name)));
    const ray = await besideRay(options.progress);
    const ratios = [
      reportRatio('get of 100 MiB, to a memory map', quotients(samples('get of 100 MiB'), samples(MAP)), {
        kind: 'at most',
        value: 1.2,
      }),
      ...(ray.rows.length === 0 ? [] : comparedWithRay(rows, ray.rows)),
    ];
    return { name: 'runtime', machine: machineLine(), rows: [...rows, ...ray.rows], ratios, notes: ray.notes };
  } finally {
    await life.stop();
  }
};

/** How often shoal is faster than Ray in the same run. */
function comparedWithRay(own: Report['rows'], ray: Report['rows']): Report['ratios'] {
  const of = (rows: Report['rows'], name: string) => rows.find((row) => row.name === name)?.median ?? Number.NaN;
  const [call, calls] = ['call, one after another', `calls, ${IN_FLIGHT} in flight`];
  const faster = of(ray, `Ray: ${call}`) / of(own, call);
  const more = of(own, calls) / of(ray, `Ray: ${calls}`);
  return [
    reportRatio('call, Ray to shoal', [faster], { kind: 'at least', value: 20 }),
    reportRatio('calls in flight, shoal to Ray', [more], { kind: 'at least', value: 10 }),
  ];
}

async function measure(fleet: FleetClient): Promise<Round> {
  const round: Round = new Map();
  const set = (name: string, unit: string, value: number) => round.set(name, { unit, value });
  const echo = await fleet.actor(Echo);
  await measureCalls(fleet, echo, set);
  await measureObjects(fleet, echo, set);
  const startMs = now();
  const actors = await Promise.all(Array.from({ length: CREATED }, () => fleet.actor(Echo)));
  set('creation of an actor', 'ms', (now() - startMs) / CREATED);
  await Promise.all([...actors, echo].map((actor) => actor.$kill()));
  return round;
}

type Set = (name: string, unit: string, value: number) => void;
type EchoHandle = Awaited<ReturnType<typeof echoIn>>;
const echoIn = (fleet: FleetClient) => fleet.actor(Echo);

async function measureCalls(fleet: FleetClient, echo: EchoHandle, set: Set): Promise<void> {
  const perSecond = (call: () => Promise<unknown>, inFlight: number) => callsPerSecond(call, inFlight, SLICE_MS, now);
  const ask = () => echo.echo(1);
  set('call, one after another', 'us', median(await roundTrips(ask, SLICE_MS, now)));
  set(`calls, ${IN_FLIGHT} in flight`, 'calls/s', await perSecond(ask, IN_FLIGHT));
  const many = await Promise.all(Array.from({ length: PAIRS }, () => echoIn(fleet)));
  const sum = async (inFlight: number) => {
    const each = await Promise.all(many.map((actor) => perSecond(() => actor.echo(1), inFlight)));
    return each.reduce((all, calls) => all + calls, 0);
  };
  set(`calls to ${PAIRS} actors, one after another to each`, 'calls/s', await sum(1));
  set(`calls to ${PAIRS} actors, ${IN_FLIGHT} in flight to each`, 'calls/s', await sum(IN_FLIGHT));
  await Promise.all(many.map((actor) => actor.$kill()));
  const task = fleet.task(same, { resources: {} });
  set('task, one after another', 'us', median(await roundTrips(() => task(1), SLICE_MS, now)));
  set(`tasks, ${IN_FLIGHT} in flight`, 'tasks/s', await perSecond(() => task(1), IN_FLIGHT));
  set('items of a stream', 'items/s', await itemsPerSecond(echo.count(STREAM_ITEMS), now));
}

/** `put` here, and `get` in the node. */
async function measureObjects(fleet: FleetClient, echo: EchoHandle, set: Set): Promise<void> {
  for (const [name, bytes] of OBJECTS) {
    const value = new Uint8Array(bytes).fill(1);
    const startMs = now();
    const ref = fleet.put(value);
    set(`put of ${name}`, 'ms', now() - startMs);
    set(`get of ${name}`, 'ms', await echo.readMs({ ref } as never));
    ref.release();
  }
  set(MAP, 'ms', await mappedMs(LARGEST_BYTES));
}
