import { type Bound, quotients, type ReportRatio, type ReportRow, reportRatio, reportRow } from '../report.js';
import { roundTrips } from '../timing.js';
import type { KvContenders, KvServer } from './contenders.js';
import { type IoredisClient, ioredisClient } from './ioredis-client.js';
import { programOnPath } from './program-on-path.js';
import { redisBenchmark } from './redis-benchmark.js';
import { LAYER_SIZES, SharedReads } from './shared-reads.js';

/** The clients that others wrote, where this machine has them, and `KVClient`. */

const KiB = 1024;
const MiB = 1024 * KiB;
const SIZES = [64 * KiB, MiB, 4 * MiB];
const SLICE_MS = 200;
/** Commands of one run of redis-benchmark move about as many bytes. */
const RUN_BYTES = 256 * MiB;
const RUN_COMMANDS = 2_000;
const CONNECTIONS = [1, 8];
/** Commands that a client sends before it waits for their replies. */
const PIPELINED = 8;
/** Sizes that ioredis reads and writes: those of layers too. */
const IOREDIS_SIZES = [...new Set([...SIZES, ...LAYER_SIZES])];
const MIN = { get: 1, set: 0.8 } as const;
const AT_LEAST_THREE: Bound = { kind: 'at least', value: 3 };

const now = () => performance.now();

type Run = (server: KvServer) => Promise<number>;

/** One comparison: GB/s of each round for each server. */
interface Series {
  readonly label: string;
  readonly bound: Bound | null;
  readonly run: Run;
  readonly samples: Record<KvServer['name'], number[]>;
}

export class Programs {
  private readonly series: Series[] = [];
  private readonly ioredis = new Map<KvServer, IoredisClient>();

  private constructor(
    private readonly servers: readonly KvServer[],
    private readonly shared: SharedReads,
  ) {}

  static async open({ shoal, redis, httpUrl }: KvContenders, progress: (line: string) => void): Promise<Programs> {
    const shared = await SharedReads.open(httpUrl);
    const programs = new Programs(redis === null ? [shoal] : [shoal, redis], shared);
    const program = programOnPath('redis-benchmark');
    if (program === null) progress('redis-benchmark is not on the path: it is left out');
    else programs.addRedisBenchmark(program);
    await programs.addIoredis(progress);
    return programs;
  }

  /** @param round negative for one that does not count */
  async measure(round: number): Promise<void> {
    const servers = round % 2 === 0 ? this.servers : this.servers.toReversed();
    for (const { run, samples } of this.series) {
      for (const server of servers) {
        const value = await run(server);
        if (round >= 0) samples[server.name].push(value);
      }
    }
    await this.shared.measure(round);
  }

  rows(): ReportRow[] {
    const rows = this.series.flatMap(({ label, samples }) =>
      this.servers.map(({ name }) => reportRow(`${label}: ${name}`, 'GB/s', samples[name])),
    );
    return [...rows, ...this.shared.rows()];
  }

  ratios(): ReportRatio[] {
    if (this.servers.length < 2) return [];
    const ratios = this.series.map(({ label, bound, samples }) =>
      reportRatio(`${label}: shoal / redis-server`, quotients(samples.shoal, samples['redis-server']), bound),
    );
    const against = LAYER_SIZES.flatMap((bytes) => {
      const series = this.series.find(({ label }) => label === ioredisLabel('get', bytes));
      if (series === undefined) return [];
      const over = quotients(this.shared.again.get(bytes)!, series.samples['redis-server']);
      return [reportRatio(`KVClient get / ioredis GET of redis-server, ${sizeOf(bytes)}`, over, AT_LEAST_THREE)];
    });
    return [...ratios, ...against];
  }

  close(): void {
    for (const client of this.ioredis.values()) client.close();
    this.shared.close();
  }

  private addRedisBenchmark(program: string): void {
    for (const bytes of SIZES) {
      for (const connections of CONNECTIONS) {
        for (const command of ['set', 'get'] as const) {
          const commands = Math.min(RUN_COMMANDS, RUN_BYTES / bytes);
          this.add(
            `redis-benchmark ${command.toUpperCase()} ${sizeOf(bytes)}, -c ${connections}`,
            command,
            bytes,
            async ({ port }) => {
              const perSecond = await redisBenchmark(program, port, command, { bytes, connections, commands });
              return (perSecond * bytes) / 1e9;
            },
          );
        }
      }
    }
  }

  private async addIoredis(progress: (line: string) => void): Promise<void> {
    for (const server of this.servers) {
      const client = await ioredisClient(server.port);
      if (client === null) return progress('ioredis is not installed: it is left out');
      this.ioredis.set(server, client);
    }
    for (const bytes of IOREDIS_SIZES) {
      const value = Buffer.alloc(bytes, 'shoal');
      const key = `ioredis:${bytes}`;
      this.add(ioredisLabel('set', bytes), 'set', bytes, (server) =>
        gigabytesPerSecond(bytes, () => this.ioredis.get(server)!.set(key, value)),
      );
      this.add(ioredisLabel('get', bytes), 'get', bytes, (server) =>
        gigabytesPerSecond(bytes, () => this.ioredis.get(server)!.get(key)),
      );
      const many = PIPELINED * bytes;
      this.add(`${ioredisLabel('set', bytes)}, pipelined by ${PIPELINED}`, 'set', bytes, (server) =>
        gigabytesPerSecond(many, () => this.ioredis.get(server)!.setPipelined(key, value, PIPELINED)),
      );
      this.add(`${ioredisLabel('get', bytes)}, pipelined by ${PIPELINED}`, 'get', bytes, (server) =>
        gigabytesPerSecond(many, () => this.ioredis.get(server)!.getPipelined(key, PIPELINED)),
      );
    }
  }

  private add(label: string, command: 'get' | 'set', bytes: number, run: Run): void {
    const bound: Bound | null = bytes >= MiB ? { kind: 'at least', value: MIN[command] } : null;
    this.series.push({ label, bound, run, samples: { shoal: [], 'redis-server': [] } });
  }
}

function ioredisLabel(command: 'get' | 'set', bytes: number): string {
  return `ioredis ${command.toUpperCase()} ${sizeOf(bytes)}`;
}

function sizeOf(bytes: number): string {
  return bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / KiB} KiB`;
}

async function gigabytesPerSecond(bytes: number, call: () => Promise<unknown>): Promise<number> {
  const micros = await roundTrips(call, SLICE_MS, now);
  return (bytes * micros.length) / 1e3 / micros.reduce((sum, each) => sum + each, 0);
}
