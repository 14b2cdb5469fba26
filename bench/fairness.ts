import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchModel, randomTokens } from './bench-model.js';
import { streamed } from './first-token.js';
import { type BenchOptions, machineLine, type Report, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';
import { ScratchFolder } from './scratch-folder.js';

/** Benchmark `fairness`: the time to one tenant's first token next to another tenant's queue. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const GREEDY_TOKENS = 2_000;
const GREEDY_ANSWER_TOKENS = 16;
const QUEUED = 400;
const OWN_TOKENS = 512;
const SAMPLES = 20;
/** Longest pause before a request, so that requests find the worker at different points of its work. */
const PAUSE_MS = 1_000;

/**
 * One worker serves two tenants. Tenant b sends one short prompt after another; tenant a keeps one long prompt, and then 400 of them, waiting or
 * running at any time. No two prompts have blocks in common.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const scratch = new ScratchFolder('fairness');
  const keys = { a: newKey(), b: newKey() };
  const keysFile = join(scratch.path, 'keys.json');
  const entries = Object.entries(keys).map(([tenant, secret]) => ({ id: tenant, secret, tenant }));
  writeFileSync(keysFile, JSON.stringify({ keys: entries }), { mode: 0o600 });
  progress('starting one worker');
  try {
    const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--model', model, '--keys-file', keysFile]);
    try {
      const samples = rounds ?? SAMPLES;
      const alone = await besideMs(fleet, keys, { greedy: 1, samples, progress });
      const queued = await besideMs(fleet, keys, { greedy: QUEUED, samples, progress });
      return {
        name: 'fairness',
        machine: machineLine(),
        rows: [
          reportRow('first token beside one request of another tenant', 'ms', alone),
          reportRow(`first token beside ${QUEUED} requests of another tenant`, 'ms', queued),
        ],
        ratios: [
          reportRatio('95th percentile, queued / one', [p95(queued) / p95(alone)], { kind: 'at most', value: 2 }),
        ],
      };
    } finally {
      await fleet.stop();
    }
  } finally {
    await scratch.remove();
  }
}

interface Beside {
  /** Requests of tenant a at any time. */
  readonly greedy: number;
  readonly samples: number;
  readonly progress: BenchOptions['progress'];
}

/** The times to the first token of b's requests. */
async function besideMs(
  fleet: RunningFleet,
  keys: { readonly a: string; readonly b: string },
  { greedy, samples, progress }: Beside,
): Promise<number[]> {
  const worker = fleet.ready.workers[0]!.id;
  const over = new AbortController();
  // Each request adds a listener, and Node warns above ten.
  setMaxListeners(greedy + 1, over.signal);
  const load = Array.from({ length: greedy }, async () => {
    while (!over.signal.aborted) {
      await streamed(fleet, randomTokens(GREEDY_TOKENS), GREEDY_ANSWER_TOKENS, worker, {
        key: keys.a,
        signal: over.signal,
      }).catch((error: unknown) => {
        if (!over.signal.aborted) throw error;
      });
    }
  });
  const failed = Promise.all(load).then(() => null);
  const times: number[] = [];
  // Until the queue stands, b is not slowed down by it.
  while ((await waiting(fleet, keys.b)) < greedy - 1 - QUEUE_SLACK) await pause(50);
  for (let i = 0; i < samples; i++) {
    await pause(Math.random() * PAUSE_MS);
    const asked = streamed(fleet, randomTokens(OWN_TOKENS), 1, worker, { key: keys.b });
    const answer = await Promise.race([asked, failed.then(() => asked)]);
    times.push(answer.ttftMs);
    progress(`beside ${greedy}: ${answer.ttftMs.toFixed(0)} ms`);
  }
  over.abort();
  await failed;
  return times;
}

/** Requests that run, and the ones in transit. */
const QUEUE_SLACK = 32;

async function waiting(fleet: RunningFleet, key: string): Promise<number> {
  const response = await fetch(`${fleet.url}/v1/fleet`, { headers: { authorization: `Bearer ${key}` } });
  const { workers } = (await response.json()) as { workers: { waiting: number }[] };
  return workers.reduce((sum, worker) => sum + worker.waiting, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function p95(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(0.95 * samples.length))]!;
}

function newKey(): string {
  return randomBytes(24).toString('hex');
}
