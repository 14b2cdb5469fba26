import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inCacheFolder } from '../src/config/cache-folder.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { openModelFolder } from '../src/model/folder.js';
import { graphSignature } from '../src/model/graph-signature.js';
import { NO_TELEMETRY } from '../src/ort/telemetry.js';
import { benchModel, benchThreads } from './bench-model.js';
import type { MemoryWorkerOptions, MemoryWorkerReady } from './memory-worker.js';
import { PlainLoop } from './plain-loop.js';
import { type BenchOptions, machineLine, median, quotients, type Report, reportRatio, reportRow } from './report.js';

/** Benchmark `memory`: the memory of a model in one worker and in several of one host, compared with onnxruntime-node; Linux only. */

const WORKERS = 3;
const STEPS = 16;
const ROUNDS = 1;
/** Beside onnxruntime-node that opens the same graph by its path. */
const AT_MOST_PEAK = { kind: 'at most', value: 1.15 } as const;
const PROMPT = Array.from({ length: 128 }, (_, i) => 256 + ((i * 37) % 7000));

/** The memory of a process, in MB. */
interface ProcessMemory {
  /** The greatest resident memory since its start, with pages of files. */
  readonly peak: number;
  /** Resident memory now, shared pages divided by the number of processes that share them. */
  readonly proportional: number;
}

/** Several workers of one host, started one after the other. */
interface Group {
  /** The first one, while it is alone. */
  readonly first: ProcessMemory;
  /** The last one, with the others running. */
  readonly last: ProcessMemory;
  /** The proportional memory of all. */
  readonly sum: number;
  /** The time of a decode step of the last one, while the others are idle. */
  readonly stepMs: number;
}

interface Round {
  readonly plain: ProcessMemory;
  /** Workers with separate weights. */
  readonly own: Group;
  /** Workers that share weights. The first packs and saves them. */
  readonly shared: Group;
}

/**
 * Measures in child processes that load the benchmark model, prefill a prompt and decode: onnxruntime-node that opens the graph by its path, and
 * workers' models, with separate weights and with shared ones. All of them choose the same tokens, or the benchmark fails.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  if (process.platform !== 'linux') throw new Error('the benchmark memory reads /proc, which only Linux has');
  const model = await benchModel();
  const measured: Round[] = [];
  for (let round = 0; round < (rounds ?? ROUNDS); round++) measured.push(await measure(model, progress));
  return report(measured);
}

function report(rounds: readonly Round[]): Report {
  const of = (pick: (round: Round) => number) => rounds.map(pick);
  const row = (name: string, pick: (round: Round) => number, unit = 'MB') => reportRow(name, unit, of(pick));
  const plainPeak = of(({ plain }) => plain.peak);
  const ratio = (over: (round: Round) => number, under: (round: Round) => number) => quotients(of(over), of(under));
  const alone = ({ own }: Round) => own.first.proportional;
  return {
    name: 'memory',
    machine: machineLine(),
    rows: [
      row('onnxruntime-node by path: peak RSS', ({ plain }) => plain.peak),
      row('one worker: peak RSS', ({ own }) => own.first.peak),
      row('the first worker that shares weights: peak RSS', ({ shared }) => shared.first.peak),
      row('a later worker that shares weights: peak RSS', ({ shared }) => shared.last.peak),
      row('onnxruntime-node by path: PSS', ({ plain }) => plain.proportional),
      row('one worker: PSS', alone),
      row(`${WORKERS} workers: sum of PSS`, ({ own }) => own.sum),
      row('one worker that shares weights: PSS', ({ shared }) => shared.first.proportional),
      row(`${WORKERS} workers that share weights: sum of PSS`, ({ shared }) => shared.sum),
      row('a decode step with weights of its own', ({ own }) => own.stepMs, 'ms'),
      row('a decode step with shared weights', ({ shared }) => shared.stepMs, 'ms'),
    ],
    ratios: [
      reportRatio(
        'peak: one worker / onnxruntime-node',
        quotients(
          of(({ own }) => own.first.peak),
          plainPeak,
        ),
        AT_MOST_PEAK,
      ),
      reportRatio(
        'peak: the first that shares / onnxruntime-node',
        quotients(
          of(({ shared }) => shared.first.peak),
          plainPeak,
        ),
        AT_MOST_PEAK,
      ),
      reportRatio(
        `PSS: ${WORKERS} workers / one`,
        ratio(({ own }) => own.sum, alone),
      ),
      reportRatio(
        `PSS: ${WORKERS} workers that share / one that shares`,
        ratio(
          ({ shared }) => shared.sum,
          ({ shared }) => shared.first.proportional,
        ),
        { kind: 'at most', value: 1.5 },
      ),
      reportRatio(
        'decode step: shared / own',
        ratio(
          ({ shared }) => shared.stepMs,
          ({ own }) => own.stepMs,
        ),
      ),
    ],
  };
}

async function measure(modelDir: string, progress: (line: string) => void): Promise<Round> {
  const threads = benchThreads();
  progress('onnxruntime-node, by the path of the graph');
  const { plain, tokens } = await plainMemory(modelDir, threads);
  const common = { modelDir, threads, prompt: PROMPT, steps: STEPS };
  progress(`${WORKERS} workers with weights of their own`);
  const own = await groupMemory({ ...common, weightsDir: null }, tokens);
  progress(`${WORKERS} workers that share weights`);
  const shared = await inCacheFolder('keep weights for the benchmark', 'set HOME', process.env, async (folder) => {
    const weightsDir = await mkdtemp(join(folder, 'bench-weights-'));
    try {
      return await groupMemory({ ...common, weightsDir }, tokens);
    } finally {
      await rm(weightsDir, { recursive: true, force: true });
    }
  });
  return { plain, own, shared };
}

async function plainMemory(
  modelDir: string,
  threads: number,
): Promise<{ plain: ProcessMemory; tokens: readonly number[] }> {
  const { graphPath: modelPath, graph, config } = await openModelFolder(modelDir);
  const { layout, pastNames: past, presentNames: present } = graphSignature(graph, config, BLOCK_TOKENS);
  const { kvHeads, headDim } = layout;
  const prompt = PROMPT.slice(0, -1);
  const loop = await PlainLoop.start({ modelPath, threads, kvHeads, headDim, past, present, prompt });
  try {
    const { tokens } = await loop.steps(PROMPT.at(-1)!, STEPS + 1);
    return { plain: await memoryOf(loop.pid), tokens };
  } finally {
    await loop.stop();
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly ready: MemoryWorkerReady;
}

/** Starts the workers one after the other, and stops them. All must choose these tokens. */
async function groupMemory(options: MemoryWorkerOptions, tokens: readonly number[]): Promise<Group> {
  const workers: Started[] = [];
  let first: ProcessMemory | null = null;
  try {
    while (workers.length < WORKERS) {
      const worker = await startWorker(options);
      workers.push(worker);
      if (worker.ready.tokens.join() !== tokens.join())
        throw new Error('a worker chose other tokens than onnxruntime-node');
      first ??= await memoryOf(worker.child.pid!);
    }
    const all = await Promise.all(workers.map(({ child }) => memoryOf(child.pid!)));
    const { ready } = workers.at(-1)!;
    const sum = all.reduce((total, { proportional }) => total + proportional, 0);
    return { first: first!, last: all.at(-1)!, sum, stepMs: median(ready.stepMs) };
  } finally {
    await Promise.all(workers.map(({ child }) => stopped(child)));
  }
}

async function startWorker(options: MemoryWorkerOptions): Promise<Started> {
  const file = fileURLToPath(new URL('./memory-worker.js', import.meta.url));
  const child = fork(file, {
    env: { ...process.env, ...NO_TELEMETRY },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`the process of a worker's model exited with ${code}`);
  });
  exited.catch(() => {});
  child.send(options);
  const [ready] = (await Promise.race([once(child, 'message'), exited])) as [MemoryWorkerReady];
  return { child, ready };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}

async function memoryOf(pid: number): Promise<ProcessMemory> {
  const megabytes = async (file: string, field: string) => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(await readFile(`/proc/${pid}/${file}`, 'utf8'));
    if (found === null) throw new Error(`/proc/${pid}/${file} has no field ${field}`);
    return (Number(found[1]) * 1024) / 1e6;
  };
  return { peak: await megabytes('status', 'VmHWM'), proportional: await megabytes('smaps_rollup', 'Pss') };
}
