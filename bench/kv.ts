import { KvContenders, type KvServer } from './kv/contenders.js';
import { Lanes, labelOf, type Measurement, measurements } from './kv/measurements.js';
import { Programs } from './kv/programs.js';
import {
  type BenchOptions,
  type Bound,
  machineLine,
  quotients,
  type Report,
  type ReportRatio,
  type ReportRow,
  reportRatio,
  reportRow,
} from './report.js';

/**
 * Benchmark `kv`: objects through the Redis protocol, in a fleet of one worker, compared with this machine's redis-server. The same client talks to
 * both: one that only counts the bytes of replies, and, where they are there, the program redis-benchmark and the package ioredis. The servers take
 * turns in each round. Missing programs are left out, and named.
 */

const ROUNDS = 5;
/** Rounds before the first one that counts: the engine compiles the code of all processes during them. */
const WARM_UP_ROUNDS = 1;
const SLICE_MS = 120;
const MiB = 2 ** 20;
/** Least quotients over redis-server of values of 1 MiB and more. */
const MIN = { get: 1, set: 0.8 } as const;

/** A server with the connections of the clients of this process. */
interface Side {
  readonly server: KvServer;
  readonly lanes: Readonly<Record<Measurement['transport'], Lanes>>;
  /** Commands per second of each round, by measurement. */
  readonly samples: Map<Measurement, number[]>;
}

export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  progress('starting nats-server, a coordinator, a worker and redis-server');
  const contenders = await KvContenders.start(progress);
  const sides: Side[] = [];
  try {
    if (contenders.redis === null) progress('redis-server is not on the path: shoal is measured alone');
    const servers = contenders.redis === null ? [contenders.shoal] : [contenders.shoal, contenders.redis];
    for (const server of servers) sides.push(await open(server));
    const programs = await Programs.open(contenders, progress);
    try {
      const plan = measurements();
      for (let round = -WARM_UP_ROUNDS; round < Math.max(rounds ?? ROUNDS, 1); round++) {
        progress(round < 0 ? 'warming up' : `round ${round + 1}`);
        for (const one of plan) await measure(one, round % 2 === 0 ? sides : sides.toReversed(), round >= 0);
        await programs.measure(round);
      }
      return report(plan, sides, programs);
    } finally {
      programs.close();
    }
  } finally {
    for (const { lanes } of sides) for (const each of Object.values(lanes)) each.close();
    await contenders.stop();
  }
}

async function open(server: KvServer): Promise<Side> {
  const lanes = { tcp: await Lanes.dial(server, 'tcp'), unix: await Lanes.dial(server, 'unix') };
  await lanes.tcp.fill();
  return { server, lanes, samples: new Map() };
}

async function measure(one: Measurement, sides: readonly Side[], counts: boolean): Promise<void> {
  for (const { lanes, samples } of sides) {
    const perSecond = await lanes[one.transport].measure(one, SLICE_MS);
    if (!counts) continue;
    const known = samples.get(one) ?? samples.set(one, []).get(one)!;
    known.push(perSecond);
  }
}

function report(plan: readonly Measurement[], [shoal, redis]: readonly Side[], programs: Programs): Report {
  const rows: ReportRow[] = [];
  const ratios: ReportRatio[] = [];
  for (const one of plan) {
    const own = shoal!.samples.get(one)!;
    const others = redis?.samples.get(one);
    rows.push(rowOf('shoal', one, own));
    if (others === undefined) continue;
    rows.push(rowOf('redis-server', one, others));
    const bound: Bound | null = one.bytes >= MiB ? { kind: 'at least', value: MIN[one.command] } : null;
    ratios.push(reportRatio(`${labelOf(one)}: shoal / redis-server`, quotients(own, others), bound));
  }
  return {
    name: 'kv',
    machine: machineLine(),
    rows: [...rows, ...programs.rows()],
    ratios: [...ratios, ...programs.ratios()],
  };
}

function rowOf(name: KvServer['name'], one: Measurement, perSecond: readonly number[]): ReportRow {
  const label = `${labelOf(one)}: ${name}`;
  if (one.bytes < MiB / 16) return reportRow(label, 'commands/s', perSecond);
  const gigabytes = perSecond.map((each) => (each * one.bytes) / 1e9);
  return reportRow(label, 'GB/s', gigabytes);
}
