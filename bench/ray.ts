import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type ReportRow, reportRow } from './report.js';

/** The same measurements with Ray (https://www.ray.io) on this machine, if Python can import it. */

const START_MS = 120_000;
const ran = promisify(execFile);

const SCRIPT = `
import json, sys, time
import numpy as np
import ray

ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=0)
class Echo:
    def echo(self, value):
        return value
    def count(self, items):
        for i in range(items):
            yield i
    def read_ms(self, refs):
        start = time.perf_counter()
        int(ray.get(refs[0])[::4096].sum())
        return 1000 * (time.perf_counter() - start)

@ray.remote(num_cpus=0)
def same(value):
    return value

rows = []
def timed(name, unit, run, rounds=5):
    samples = [run() for _ in range(rounds + 1)]
    rows.append({"name": name, "unit": unit, "samples": samples[1:]})

def one_by_one(call, seconds=0.3):
    micros, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        ray.get(call())
        micros.append(1e6 * (time.perf_counter() - start))
    return float(np.median(micros))

def in_flight(call, wide=64, seconds=0.3):
    start, done, open_refs = time.perf_counter(), 0, [call() for _ in range(wide)]
    while time.perf_counter() - start < seconds:
        ready, open_refs = ray.wait(open_refs, num_returns=1)
        done += len(ready)
        open_refs += [call() for _ in ready]
    ray.get(open_refs)
    return done / (time.perf_counter() - start)

echo = Echo.remote()
ray.get(echo.echo.remote(1))
timed("call, one after another", "us", lambda: one_by_one(lambda: echo.echo.remote(1)))
timed("calls, 64 in flight", "calls/s", lambda: in_flight(lambda: echo.echo.remote(1)))
timed("task, one after another", "us", lambda: one_by_one(lambda: same.remote(1)))
timed("tasks, 64 in flight", "tasks/s", lambda: in_flight(lambda: same.remote(1)))

def stream():
    start = time.perf_counter()
    for ref in echo.count.options(num_returns="streaming").remote(1000):
        ray.get(ref)
    return 1000 / (time.perf_counter() - start)
timed("items of a stream", "items/s", stream, 3)

for name, size in (("1 KiB", 2**10), ("1 MiB", 2**20), ("100 MiB", 100 * 2**20)):
    value = np.ones(size, dtype=np.uint8)
    puts, gets = [], []
    for _ in range(4):
        start = time.perf_counter()
        ref = ray.put(value)
        puts.append(1000 * (time.perf_counter() - start))
        gets.append(ray.get(echo.read_ms.remote([ref])))
        del ref
    rows.append({"name": "put of " + name, "unit": "ms", "samples": puts[1:]})
    rows.append({"name": "get of " + name, "unit": "ms", "samples": gets[1:]})

def create():
    start = time.perf_counter()
    actors = [Echo.remote() for _ in range(4)]
    ray.get([actor.echo.remote(1) for actor in actors])
    return 1000 * (time.perf_counter() - start) / 4
timed("creation of an actor", "ms", create, 2)
print("RESULT " + json.dumps({"version": ray.__version__, "rows": rows}))
`;

const Result = z.object({
  version: z.string(),
  rows: z.array(z.object({ name: z.string(), unit: z.string(), samples: z.array(z.number()).min(1) })),
});

interface RayReport {
  readonly rows: readonly ReportRow[];
  /** Which Ray it was, or why there is none. */
  readonly notes: readonly string[];
}

/** Never rejects. */
export async function besideRay(progress: (line: string) => void): Promise<RayReport> {
  if (!(await canImport())) return { rows: [], notes: ['Ray: skipped, because python3 cannot import ray'] };
  progress('the same with Ray');
  try {
    const { stdout } = await ran('python3', ['-c', SCRIPT], { timeout: START_MS, maxBuffer: 2 ** 24 });
    const line = stdout.split('\n').find((text) => text.startsWith('RESULT '));
    const { version, rows } = Result.parse(JSON.parse(line?.slice('RESULT '.length) ?? 'null'));
    const named = rows.map(({ name, unit, samples }) => reportRow(`Ray: ${name}`, unit, samples));
    return { rows: named, notes: [`Ray ${version}`] };
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n').slice(0, 2).join(' ') : String(error);
    return { rows: [], notes: [`Ray: skipped, because it failed: ${why}`] };
  }
}

async function canImport(): Promise<boolean> {
  try {
    await ran('python3', ['-c', 'import numpy, ray'], { timeout: START_MS });
    return true;
  } catch {
    return false;
  }
}
