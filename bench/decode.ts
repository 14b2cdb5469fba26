import { fileURLToPath } from 'node:url';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { openModelFolder } from '../src/model/folder.js';
import { BareLoop, bareDecode, bareSteps } from './bare-loop.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { EngineLoop } from './engine-loop.js';
import { streamed } from './first-token.js';
import { Genai, type GenaiOrWhyNot } from './genai.js';
import { PlainLoop } from './plain-loop.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';

/** Benchmark `decode`: tokens per second of one stream, compared with the engine alone, the bare loop and onnxruntime-node. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const PROMPT_TOKENS = 128;
const NEW_TOKENS = 129;
const LONG_PAST_TOKENS = 2_048;
const LONG_NEW_TOKENS = 33;
const CHUNK_TOKENS = 256;
const ROUNDS = 7;

const CONTENDERS = ['fleet', 'engine', 'bare', 'bareQuiet', 'genai', 'longFleet', 'longBare', 'plain'] as const;
type Contender = (typeof CONTENDERS)[number];
/** Tokens per second. `genai` is missing where onnxruntime-genai is not installed. */
type Rates = Record<Exclude<Contender, 'genai'>, number> & { readonly genai?: number };
type DecodeSamples = Record<Contender, number[]>;

/**
 * Measures one stream through a fleet, as a client sees it, and in alternation the bare loop over the same graph: after a short prompt, and
 * after a long past. After the short prompt it also measures the engine without a fleet, and the bare loop with threads that do not spin; after
 * the long past the plain loop of onnxruntime-node. Where onnxruntime-genai is installed, it takes part after the short prompt.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const threads = benchThreads();
  const graph = await benchGraph(model, threads);
  const quiet = await benchGraph(model, threads, { allowSpinning: false });
  const own = await benchGraph(model, threads, { allowSpinning: true });
  const engine = await EngineLoop.open(own, 1, PROMPT_TOKENS + NEW_TOKENS);
  progress('starting one worker');
  const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--model', model]);
  const genai = await Genai.start(model, threads);
  const samples = Object.fromEntries(CONTENDERS.map((name) => [name, [] as number[]])) as DecodeSamples;
  let longPast: LongPast | null = null;
  try {
    progress(`computing a past of ${LONG_PAST_TOKENS} tokens, here and in the process of the plain loop`);
    longPast = await LongPast.open(fleet, graph, model, threads);
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const short = await afterShortPrompt({ fleet, engine, graph, quiet, genai }, round);
      const rates: Rates = { ...short, ...(await longPast.measure()) };
      const measured = Object.entries(rates) as [Contender, number][];
      progress(
        `round ${round + 1}: ${measured.map(([name, rate]) => `${name} ${rate.toFixed(1)}`).join(', ')} tokens/s`,
      );
      // The first round warms up.
      if (round >= 0) for (const [name, rate] of measured) samples[name].push(rate);
    }
  } finally {
    await longPast?.close();
    if (typeof genai !== 'string') await genai.stop();
    await fleet.stop();
    await engine.close();
    for (const loaded of [graph, quiet, own]) loaded.release();
  }
  return report(samples, typeof genai === 'string' ? [genai] : []);
}

function report(samples: DecodeSamples, notes: readonly string[]): Report {
  const ratio = (over: Contender, under: Contender) => quotients(samples[over], samples[under]);
  const beside = samples.genai.length > 0;
  const after = `after ${LONG_PAST_TOKENS} tokens`;
  return {
    name: 'decode',
    machine: machineLine(),
    rows: [
      reportRow('one stream through the fleet', 'tokens/s', samples.fleet),
      reportRow('engine in this process', 'tokens/s', samples.engine),
      reportRow('bare IO-bound loop', 'tokens/s', samples.bare),
      reportRow('bare IO-bound loop, threads do not spin', 'tokens/s', samples.bareQuiet),
      ...(beside ? [reportRow('onnxruntime-genai', 'tokens/s', samples.genai)] : []),
      reportRow(`${after}: one stream through the fleet`, 'tokens/s', samples.longFleet),
      reportRow(`${after}: bare IO-bound loop`, 'tokens/s', samples.longBare),
      reportRow(`${after}: session.run of onnxruntime-node`, 'tokens/s', samples.plain),
    ],
    ratios: [
      reportRatio('fleet / bare loop', ratio('fleet', 'bare'), { kind: 'at least', value: 0.97 }),
      ...(beside ? [reportRatio('fleet / genai', ratio('fleet', 'genai'), { kind: 'at least', value: 1 })] : []),
      reportRatio('fleet / engine', ratio('fleet', 'engine')),
      reportRatio('engine / bare loop', ratio('engine', 'bare')),
      reportRatio('bare loop / without spinning', ratio('bare', 'bareQuiet')),
      reportRatio(`${after}: fleet / bare loop`, ratio('longFleet', 'longBare')),
      reportRatio(`${after}: fleet / session.run`, ratio('longFleet', 'plain'), { kind: 'at least', value: 3.5 }),
      reportRatio(`${after}: bare loop / session.run`, ratio('longBare', 'plain')),
    ],
    notes,
  };
}

type ShortRates = Pick<Rates, 'fleet' | 'engine' | 'bare' | 'bareQuiet' | 'genai'>;

interface Contenders {
  readonly fleet: RunningFleet;
  readonly engine: EngineLoop;
  readonly graph: ModelGraph;
  readonly quiet: ModelGraph;
  readonly genai: GenaiOrWhyNot;
}

/** Each round begins with another contender. */
async function afterShortPrompt(
  { fleet, engine, graph, quiet, genai }: Contenders,
  round: number,
): Promise<ShortRates> {
  const prompt = randomTokens(PROMPT_TOKENS);
  const bareRate = async (over: ModelGraph) => rateOf(await bareDecode(over, [prompt], NEW_TOKENS - 1));
  const measures: [keyof ShortRates, () => Promise<number>][] = [
    ['fleet', () => fleetRate(fleet, prompt, NEW_TOKENS)],
    ['engine', () => engine.rate(prompt, NEW_TOKENS)],
    ['bare', () => bareRate(graph)],
    ['bareQuiet', () => bareRate(quiet)],
  ];
  if (typeof genai !== 'string') measures.push(['genai', () => genai.decode(PROMPT_TOKENS, NEW_TOKENS - 1, 1)]);
  const rates: { -readonly [name in keyof ShortRates]?: number } = {};
  for (let turn = 0; turn < measures.length; turn++) {
    const [name, measure] = measures[(round + 1 + turn) % measures.length]!;
    rates[name] = await measure();
  }
  return rates as ShortRates;
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
