import { fileURLToPath } from 'node:url';
import { blockBytes } from '../src/core/kv-layout.js';
import { logprobsOf } from '../src/core/sampling/logprobs.js';
import { argmax } from '../src/core/sampling/selection.js';
import { type AskedDevice, chooseDevice, surveyDevices } from '../src/device/choose.js';
import type { Device, DeviceBlock, DeviceCopies } from '../src/device/device.js';
import { openDevice } from '../src/device/open.js';
import { runnerOf } from '../src/engine/engine.js';
import type { GraphRunner, SequenceSlot } from '../src/engine/graph-runner.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { Tokenizer } from '../src/model/tokenizer.js';
import type { Provider } from '../src/ort/provider.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { benchModel, benchThreads, randomTokens } from './bench-model.js';
import { recallPrompt, recallSheet } from './fleet/recall-sheet.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';

/** Benchmark `device`: one device in this process, without a fleet: its numbers compared with the CPU's, its speed, and the bytes that a hit copies. */

const RECALL = fileURLToPath(new URL('../../models/recall', import.meta.url));
const SHARED_TOKENS = 1_024;
const OWN_TOKENS = 32;
const CHUNK_TOKENS = 256;
const SEQUENCES = 8;
const BATCH_PROMPT_TOKENS = 128;
const STEPS = 64;
const ROUNDS = 5;
/** Questions and tokens of an answer that are compared with the CPU's. */
const QUESTIONS = 6;
const ANSWER_TOKENS = 12;
/** Log-probabilities on a GPU may differ by this from the CPU's: CUDA multiplies float32 with 10 bits of fraction (TF32). */
const TOLERANCE = 0.05;

/** A model on a device, and the runner of its graph. */
interface Rig {
  readonly graph: ModelGraph;
  readonly device: Device;
  readonly runner: GraphRunner;
  close(): void;
}

/** Measures the device that SHOAL_DEVICE names, by default the one that a worker would choose. */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const { provider, why } = chooseDevice((process.env.SHOAL_DEVICE ?? 'auto') as AskedDevice, surveyDevices());
  progress(why);
  const compared = await compareWithCpu(provider);
  progress(`${compared.equal} of ${QUESTIONS} answers are the CPU's`);
  const rig = await openRig(await benchModel(), provider, SEQUENCES, SHARED_TOKENS + 2 * OWN_TOKENS + STEPS);
  const samples: Sample[] = [];
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const sample = {
        ...(await measureHit(rig)),
        one: await decodeRate(rig, 1),
        all: await decodeRate(rig, SEQUENCES),
      };
      progress(`round ${round + 1}: cold ${sample.coldMs.toFixed(1)} ms, hit ${sample.hitMs.toFixed(1)} ms`);
      // The first round warms up.
      if (round >= 0) samples.push(sample);
    }
  } finally {
    rig.close();
  }
  return report(compared, samples);
}

interface Sample {
  readonly coldMs: number;
  readonly hitMs: number;
  readonly copied: DeviceCopies;
  /** Tokens per second of one sequence, and of all together. */
  readonly one: number;
  readonly all: number;
}

interface Comparison {
  /** The number of answers with the CPU's tokens. */
  readonly equal: number;
  /** For each question, the greatest difference of log-probabilities up to the first token that differs. */
  readonly apart: readonly number[];
}

function report({ equal, apart }: Comparison, samples: readonly Sample[]): Report {
  const of = (pick: (sample: Sample) => number) => samples.map(pick);
  const prompt = SHARED_TOKENS + OWN_TOKENS;
  return {
    name: 'device',
    machine: machineLine(),
    rows: [
      reportRow(
        `first token, cold: ${prompt} tokens`,
        'ms',
        of(({ coldMs }) => coldMs),
      ),
      reportRow(
        `first token, hit: ${SHARED_TOKENS} of ${prompt} tokens`,
        'ms',
        of(({ hitMs }) => hitMs),
      ),
      reportRow(
        'a hit copies from the host',
        'bytes',
        of(({ copied }) => copied.h2d),
      ),
      reportRow(
        'a hit copies to the host',
        'bytes',
        of(({ copied }) => copied.d2h),
      ),
      reportRow(
        'a hit copies within the device',
        'bytes',
        of(({ copied }) => copied.d2d),
      ),
      reportRow(
        'decode: 1 sequence',
        'tokens/s',
        of(({ one }) => one),
      ),
      reportRow(
        `decode: ${SEQUENCES} sequences`,
        'tokens/s',
        of(({ all }) => all),
      ),
    ],
    ratios: [
      reportRatio('greedy answers equal to the CPU', [equal / QUESTIONS]),
      reportRatio(
        'log-probabilities apart from the CPU, at most',
        [Math.max(...apart)],
        { kind: 'at most', value: TOLERANCE },
        'nats',
      ),
      reportRatio(
        'cold / hit',
        quotients(
          of(({ coldMs }) => coldMs),
          of(({ hitMs }) => hitMs),
        ),
      ),
      reportRatio(
        `decode: ${SEQUENCES} sequences / 1`,
        quotients(
          of(({ all }) => all),
          of(({ one }) => one),
        ),
      ),
    ],
  };
}

async function openRig(dir: string, provider: Provider, slots: number, capacityTokens: number): Promise<Rig> {
  const runtime = OrtRuntime.open();
  const folder = await openModelFolder(dir);
  const graph = await loadModelGraph(runtime, folder, { provider, threads: benchThreads(), allowSpinning: false });
  const { layout } = graph;
  const blocks = SHARED_TOKENS / layout.blockTokens;
  const device = await openDevice(runtime, provider, {
    ...{ layout, slots, capacityTokens, blockBudgetBytes: 2 * blocks * blockBytes(layout) },
  });
  const runner = runnerOf(graph, device, Math.min(CHUNK_TOKENS, device.longestRunTokens));
  const close = () => {
    runner.releaseAll();
    for (const part of [runner, device]) part.close();
    for (const part of [graph, runtime]) part.release();
  };
  return { graph, device, runner, close };
}

/** Computes the rest of a prompt, and returns the last logits. */
async function prefill({ runner, device }: Rig, slot: SequenceSlot, prompt: readonly number[]): Promise<Float32Array> {
  const chunk = Math.min(CHUNK_TOKENS, device.longestRunTokens);
  for (;;) {
    const ids = Uint32Array.from(prompt.slice(slot.tokens, slot.tokens + chunk));
    const logits = (await runner.prefill(slot, ids, 1)).row(0);
    if (slot.tokens === prompt.length) return logits;
  }
}

interface Step {
  readonly token: number;
  readonly logprob: number;
}

async function compareWithCpu(provider: Provider): Promise<Comparison> {
  const tokenizer = await Tokenizer.load(await openModelFolder(RECALL));
  const sheet = recallSheet(10, 5);
  const prompts = sheet.questions
    .slice(0, QUESTIONS)
    .map(({ question }) => tokenizer.encode(recallPrompt(sheet, question)));
  const onCpu = await answersOn({ name: 'cpu' }, prompts);
  const onDevice = await answersOn(provider, prompts);
  const tokens = (steps: readonly Step[]) => steps.map(({ token }) => token).join();
  return {
    equal: onDevice.filter((steps, i) => tokens(steps) === tokens(onCpu[i]!)).length,
    apart: onDevice.map((steps, i) => apart(steps, onCpu[i]!)),
  };
}

async function answersOn(provider: Provider, prompts: readonly (readonly number[])[]): Promise<Step[][]> {
  const longest = Math.max(...prompts.map(({ length }) => length));
  const rig = await openRig(RECALL, provider, 1, longest + ANSWER_TOKENS);
  try {
    const answers: Step[][] = [];
    for (const prompt of prompts) answers.push(await answer(rig, prompt));
    return answers;
  } finally {
    rig.close();
  }
}

async function answer(rig: Rig, prompt: readonly number[]): Promise<Step[]> {
  const { runner } = rig;
  const slot = runner.acquire('short');
  const steps: Step[] = [];
  const take = (logits: Float32Array) => {
    const token = argmax(logits);
    steps.push({ token, logprob: logprobsOf(logits, token, 0).logprob });
  };
  take(await prefill(rig, slot, prompt));
  await runner.startDecoding(slot);
  while (steps.length < ANSWER_TOKENS) take((await runner.decode([slot], [steps.at(-1)!.token])).row(0));
  await runner.release(slot);
  return steps;
}

/** Of two answers to a prompt; after the first token that differs they are answers to different prompts. */
function apart(a: readonly Step[], b: readonly Step[]): number {
  const first = a.findIndex(({ token }, i) => token !== b[i]!.token);
  const compared = first < 0 ? a : a.slice(0, first + 1);
  return Math.max(...compared.map(({ logprob }, i) => Math.abs(logprob - b[i]!.logprob)));
}

/** Computes a prompt, keeps its first blocks, and computes another prompt that begins with them. */
async function measureHit(rig: Rig): Promise<Pick<Sample, 'coldMs' | 'hitMs' | 'copied'>> {
  const { runner, device } = rig;
  const shared = randomTokens(SHARED_TOKENS);
  const cold = runner.acquire('short');
  const coldMs = await timed(() => prefill(rig, cold, [...shared, ...randomTokens(OWN_TOKENS)]));
  const { blockTokens } = device.layout;
  const blocks: DeviceBlock[] = [];
  for (let position = 0; position < SHARED_TOKENS; position += blockTokens) {
    const block = device.allocateBlock()!;
    await runner.cut(cold, position, block);
    blocks.push(block);
  }
  await runner.release(cold);
  const hit = runner.acquire('short');
  const before = device.copies();
  const hitMs = await timed(async () => {
    await runner.join(hit, blocks);
    await prefill(rig, hit, [...shared, ...randomTokens(OWN_TOKENS)]);
  });
  const after = device.copies();
  await runner.release(hit);
  for (const block of blocks) device.freeBlock(block);
  const copied = { h2d: after.h2d - before.h2d, d2h: after.d2h - before.d2h, d2d: after.d2d - before.d2d };
  return { coldMs, hitMs, copied };
}

/** Tokens per second of sequences that decode together. */
async function decodeRate(rig: Rig, sequences: number): Promise<number> {
  const { runner } = rig;
  const slots: SequenceSlot[] = [];
  while (slots.length < sequences) {
    const slot = runner.acquire('short');
    await prefill(rig, slot, randomTokens(BATCH_PROMPT_TOKENS));
    await runner.startDecoding(slot);
    slots.push(slot);
  }
  const ms = await timed(async () => {
    for (let step = 0; step < STEPS; step += 1) {
      for (const batch of runner.batches()) await runner.decode(batch, randomTokens(batch.length));
    }
  });
  for (const slot of slots) await runner.release(slot);
  return (1000 * sequences * STEPS) / ms;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await act();
  return performance.now() - startMs;
}
