import { GREEDY, packTokens, type Sampling } from '../src/protocol/generate.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { EngineLoop } from './engine-loop.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';

/** Benchmark `speculate`: what guessed tokens gain where answers quote, and cost where guesses are wrong. */

const PROMPT_TOKENS = 128;
const NEW_TOKENS = 192;
const DRAFT_TOKENS = 12;
const ROUNDS = 7;
/** An answer of few different tokens: what comes next is guessed in each step. */
const FEW = packTokens(Uint32Array.from({ length: 6 }, (_, i) => 300 + i));

/** How answers are sampled, by their kind. The model has random weights: a greedy answer soon repeats itself, and a sampled one is noise. */
const KINDS: Record<string, (seed: number) => Sampling> = {
  'repeats itself': () => ({ ...GREEDY, allowed: FEW }),
  'noise of six tokens': (seed) => ({ ...GREEDY, temperature: 1, seed, allowed: FEW }),
  'noise of all tokens': (seed) => ({ ...GREEDY, temperature: 1, seed }),
};
const NAMES = Object.keys(KINDS);

/**
 * Measures the tokens per second of one answer of each kind, with and without guesses, over the same graph by turns. Both answers must have the same
 * tokens. Ratios are medians over the rounds.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const graphs = [await loaded(), await loaded()] as const;
  const capacityTokens = PROMPT_TOKENS + NEW_TOKENS;
  const plain = await EngineLoop.open(graphs[0], 1, capacityTokens);
  const guessing = await EngineLoop.open(graphs[1], 1, capacityTokens, DRAFT_TOKENS);
  const rates = Object.fromEntries(NAMES.map((name) => [name, { plain: [] as number[], guessing: [] as number[] }]));
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      for (const name of NAMES) {
        const sampling = KINDS[name]!(round + 2);
        const prompt = randomTokens(PROMPT_TOKENS);
        const pair = await measured(plain, guessing, prompt, sampling, round % 2 === 0);
        progress(
          `round ${round + 1}: ${name}: ${pair.plain.toFixed(1)} tokens/s, with guesses ${pair.guessing.toFixed(1)}`,
        );
        // The first round warms up.
        if (round < 0) continue;
        rates[name]!.plain.push(pair.plain);
        rates[name]!.guessing.push(pair.guessing);
      }
    }
  } finally {
    for (const engine of [plain, guessing]) await engine.close();
    for (const graph of graphs) graph.release();
  }
  return {
    name: 'speculate',
    machine: machineLine(),
    rows: NAMES.flatMap((name) => [
      reportRow(name, 'tokens/s', rates[name]!.plain),
      reportRow(`${name}, up to ${DRAFT_TOKENS} guessed`, 'tokens/s', rates[name]!.guessing),
    ]),
    ratios: NAMES.map((name) =>
      reportRatio(`${name}: guessed / not`, quotients(rates[name]!.guessing, rates[name]!.plain)),
    ),
  };
}

async function loaded() {
  return benchGraph(await benchModel(), benchThreads(), { allowSpinning: true });
}

async function measured(
  plain: EngineLoop,
  guessing: EngineLoop,
  prompt: readonly number[],
  sampling: Sampling,
  plainFirst: boolean,
): Promise<{ readonly plain: number; readonly guessing: number }> {
  const answers = new Map<EngineLoop, Awaited<ReturnType<EngineLoop['answer']>>>();
  for (const engine of plainFirst ? [plain, guessing] : [guessing, plain]) {
    answers.set(engine, await engine.answer(prompt, NEW_TOKENS, sampling));
  }
  const [without, guessed] = [answers.get(plain)!, answers.get(guessing)!];
  if (without.tokens.join() !== guessed.tokens.join())
    throw new Error('an answer with guesses has other tokens than one without');
  return { plain: without.rate, guessing: guessed.rate };
}
