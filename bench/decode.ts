import { fileURLToPath } from 'node:url';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { BareLoop, bareDecode, bareSteps } from './bare-loop.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { streamed } from './first-token.js';
import { PlainLoop } from './plain-loop.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';

/** Benchmark `decode`: tokens per second of one stream, compared with the bare loop and onnxruntime-node. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const PROMPT_TOKENS = 128;
const NEW_TOKENS = 129;
const LONG_PAST_TOKENS = 2_048;
const LONG_NEW_TOKENS = 33;
const CHUNK_TOKENS = 256;
const ROUNDS = 7;

const CONTENDERS = ['fleet', 'bare', 'longFleet', 'longBare', 'plain'] as const;
/** Tokens per second. */
type Rates = Record<(typeof CONTENDERS)[number], number>;

/**
 * Measures one stream through a fleet, as a client sees it, and in alternation the bare loop over the same graph: after a short prompt, and
 * after a long past. After the long past it also measures the plain loop of onnxruntime-node.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const threads = benchThreads();
  const graph = await benchGraph(model, threads);
  progress('starting one worker');
  const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--model', model]);
  const samples: Record<keyof Rates, number[]> = { fleet: [], bare: [], longFleet: [], longBare: [], plain: [] };
  let longPast: LongPast | null = null;
  try {
    progress(`computing a past of ${LONG_PAST_TOKENS} tokens, here and in the process of the plain loop`);
    longPast = await LongPast.open(fleet, graph, model, threads);
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const rates: Rates = { ...(await afterShortPrompt(fleet, graph)), ...(await longPast.measure()) };
      const shown = CONTENDERS.map((name) => `${name} ${rates[name].toFixed(1)}`).join(', ');
      progress(`round ${round + 1}: ${shown} tokens/s`);
      // The first round warms up.
      if (round >= 0) for (const name of CONTENDERS) samples[name].push(rates[name]);
    }
  } finally {
    await longPast?.close();
    await fleet.stop();
    graph.release();
  }
  return report(samples);
}

function report(samples: Record<keyof Rates, number[]>): Report {
  const ratio = (over: keyof Rates, under: keyof Rates) => quotients(samples[over], samples[under]);
  const after = `after ${LONG_PAST_TOKENS} tokens`;
  return {
    name: 'decode',
    machine: machineLine(),
    rows: [
      reportRow('one stream through the fleet', 'tokens/s', samples.fleet),
      reportRow('bare IO-bound loop', 'tokens/s', samples.bare),
      reportRow(`${after}: one stream through the fleet`, 'tokens/s', samples.longFleet),
      reportRow(`${after}: bare IO-bound loop`, 'tokens/s', samples.longBare),
      reportRow(`${after}: session.run of onnxruntime-node`, 'tokens/s', samples.plain),
    ],
    ratios: [
      reportRatio('fleet / bare loop', ratio('fleet', 'bare'), { kind: 'at least', value: 0.9 }),
      reportRatio(`${after}: fleet / bare loop`, ratio('longFleet', 'longBare')),
      reportRatio(`${after}: fleet / session.run`, ratio('longFleet', 'plain'), { kind: 'at least', value: 3.5 }),
      reportRatio(`${after}: bare loop / session.run`, ratio('longBare', 'plain')),
    ],
  };
}

async function afterShortPrompt(fleet: RunningFleet, graph: ModelGraph): Promise<Pick<Rates, 'fleet' | 'bare'>> {
  const prompt = randomTokens(PROMPT_TOKENS);
  const rate = await fleetRate(fleet, prompt, NEW_TOKENS);
  return { fleet: rate, bare: rateOf(await bareDecode(graph, [prompt], NEW_TOKENS - 1)) };
}

/** A long prompt, whose K/V the fleet, the bare loop and the plain loop keep for all rounds. */
class LongPast {
  private constructor(
    private readonly fleet: RunningFleet,
    private readonly prompt: readonly number[],
    private readonly first: number,
    private readonly bare: BareLoop,
    private readonly plain: PlainLoop,
  ) {}

  static async open(fleet: RunningFleet, graph: ModelGraph, model: string, threads: number): Promise<LongPast> {
    const prompt = randomTokens(LONG_PAST_TOKENS);
    const bare = new BareLoop(graph, graph.contextTokens);
    try {
      let next: number[] = [];
      for (let i = 0; i < prompt.length; i += CHUNK_TOKENS)
        next = await bare.run([prompt.slice(i, i + CHUNK_TOKENS)], i);
      const { kvHeads, headDim } = graph.layout;
      const { past, present } = graph.names;
      const { graphPath: modelPath } = await openModelFolder(model);
      const plain = await PlainLoop.start({ modelPath, threads, kvHeads, headDim, past, present, prompt });
      return new LongPast(fleet, prompt, next[0]!, bare, plain);
    } catch (error) {
      bare.release();
      throw error;
    }
  }

  async measure(): Promise<Pick<Rates, 'longFleet' | 'longBare' | 'plain'>> {
    const longFleet = await fleetRate(this.fleet, this.prompt, LONG_NEW_TOKENS);
    const bare = await bareSteps(this.bare, [this.first], LONG_PAST_TOKENS, LONG_NEW_TOKENS - 1);
    const plain = await this.plain.steps(this.first, LONG_NEW_TOKENS - 1);
    if (bare.tokens.flat().join() !== plain.tokens.join()) throw new Error('the two loops chose different tokens');
    return { longFleet, longBare: rateOf(bare.ms), plain: rateOf(plain.ms) };
  }

  async close(): Promise<void> {
    this.bare.release();
    await this.plain.stop();
  }
}

/** Tokens per second from the first token to the last, as they reach the client. */
async function fleetRate(fleet: RunningFleet, prompt: readonly number[], newTokens: number): Promise<number> {
  const worker = fleet.ready.workers[0]!.id;
  const { chunkMs, completionTokens } = await streamed(fleet, prompt, newTokens, worker);
  if (completionTokens !== newTokens) throw new Error(`expected ${newTokens} tokens, got ${completionTokens}`);
  return (1000 * (newTokens - 1)) / (chunkMs.at(-1)! - chunkMs[0]!);
}

function rateOf(stepsMs: readonly number[]): number {
  return (1000 * stepsMs.length) / stepsMs.reduce((sum, ms) => sum + ms, 0);
}
