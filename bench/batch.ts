import { fileURLToPath } from 'node:url';
import { bareDecode } from './bare-loop.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { type Streamed, type StreamedOptions, streamed } from './first-token.js';
import { Genai } from './genai.js';
import {
  type BenchOptions,
  machineLine,
  median,
  quotients,
  type Report,
  type ReportRatio,
  reportRatio,
  reportRow,
} from './report.js';
import { RunningFleet } from './running-fleet.js';
import { decodeRate, gapsWithin, quantile, wholeRate } from './streams.js';

/** Benchmark `batch`: tokens per second of concurrent streams, and the gaps that a long prompt causes in them. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const STREAMS = [1, 2, 4, 8, 16] as const;
const PROMPT_TOKENS = 128;
const NEW_TOKENS = 128;
const ROUNDS = 7;
/** The rows and the steps of the bare loop. */
const BARE_STREAMS = 8;
const BARE_STEPS = 64;
const CHUNK_TOKENS = 256;
/** The length of the prompt that arrives while streams decode, and the number of these streams. */
const ARRIVING_TOKENS = 2_000;
const ARRIVING_AMONG = 4;
/** The number of tokens that each stream has when the prompt arrives, and in the end. */
const TOKENS_BEFORE = 16;
const TOKENS_IN_ALL = 64;
/** The letter a. A stream of this token alone has one chunk per token, because no character is split. */
const PLAIN_TOKEN = 97;

/** The order of a round. The counts 1 and 8, which the bound compares, are adjacent. */
const ORDER = [2, 1, 8, 4, 16] as const satisfies readonly Count[];

type Count = (typeof STREAMS)[number];

/** The measurements of all rounds. */
interface Samples {
  readonly decode: Record<Count, number[]>;
  readonly whole: Record<Count, number[]>;
  readonly bare: number[];
  /** Of onnxruntime-genai with as many rows; empty where it is not installed. */
  readonly genai: number[];
  readonly chunkMs: number[];
  /** All gaps between tokens. */
  readonly gapsMs: number[];
  /** The longest gap of each round. */
  readonly longestMs: number[];
}

/**
 * Measures streams through a fleet of one worker, as clients see them: tokens per second of 1, 2, 4, 8 and 16 streams, compared with the bare
 * loop with 8 rows; and the gaps between tokens of 4 streams while a long prompt arrives, compared with one chunk of the prompt. All prompts
 * differ. Each round measures everything, and ratios are medians over the rounds.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const graph = await benchGraph(model, benchThreads());
  progress('starting one worker');
  const sequences = String(Math.max(...STREAMS));
  const genai = await Genai.start(model, benchThreads());
  const options = ['--workers', '1', '--sequences', sequences, '--prefill-chunk', String(CHUNK_TOKENS)];
  const fleet = await RunningFleet.up(CLI, [...options, '--model', model]);
  const samples = noSamples();
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const tell = (line: string) => progress(`round ${round + 1}: ${line}`);
      // The first round warms up.
      const into = round < 0 ? noSamples() : samples;
      // The order alternates, so that drift favours none.
      for (const count of round % 2 === 0 ? ORDER : ORDER.toReversed()) await measure(fleet, count, into, tell);
      const prompts = Array.from({ length: BARE_STREAMS }, () => randomTokens(PROMPT_TOKENS));
      const steps = await bareDecode(graph, prompts, BARE_STEPS);
      into.bare.push((1000 * BARE_STREAMS * steps.length) / steps.reduce((sum, ms) => sum + ms, 0));
      if (typeof genai !== 'string') into.genai.push(await genai.decode(PROMPT_TOKENS, NEW_TOKENS, BARE_STREAMS));
      await measureArrival(fleet, into, tell);
    }
  } finally {
    if (typeof genai !== 'string') await genai.stop();
    await fleet.stop();
    graph.release();
  }
  return report(samples, typeof genai === 'string' ? [genai] : []);
}

function noSamples(): Samples {
  const each = () => ({ 1: [], 2: [], 4: [], 8: [], 16: [] });
  return { decode: each(), whole: each(), bare: [], genai: [], chunkMs: [], gapsMs: [], longestMs: [] };
}

async function measure(
  fleet: RunningFleet,
  count: Count,
  { decode, whole }: Samples,
  progress: (line: string) => void,
): Promise<void> {
  const streams = await Promise.all(Array.from({ length: count }, () => ask(fleet, PROMPT_TOKENS, NEW_TOKENS)));
  decode[count].push(decodeRate(streams));
  whole[count].push(wholeRate(streams));
  const shown = [decodeRate(streams), wholeRate(streams)].map((rate) => rate.toFixed(1));
  progress(`${count} streams: ${shown[0]} tokens/s decoding, ${shown[1]} with their prompts`);
}

async function ask(
  fleet: RunningFleet,
  promptTokens: number,
  newTokens: number,
  options: StreamedOptions = {},
): Promise<Streamed> {
  const worker = fleet.ready.workers[0]!.id;
  const answer = await streamed(fleet, randomTokens(promptTokens), newTokens, worker, options);
  if (answer.completionTokens !== newTokens) {
    throw new Error(`expected ${newTokens} tokens, got ${answer.completionTokens}`);
  }
  return answer;
}

/** Measures a long prompt alone, for the time of one chunk, then one that arrives while streams decode. */
async function measureArrival(
  fleet: RunningFleet,
  { chunkMs, gapsMs, longestMs }: Samples,
  progress: (line: string) => void,
): Promise<void> {
  const alone = await ask(fleet, ARRIVING_TOKENS, 1);
  const oneChunkMs = (alone.ttftMs * CHUNK_TOKENS) / ARRIVING_TOKENS;
  const fields = { logit_bias: { [PLAIN_TOKEN]: 100 } };
  const running = Array.from({ length: ARRIVING_AMONG }, () => {
    let chunks = 0;
    let stream = Promise.resolve<Streamed | null>(null);
    const underWay = new Promise<void>((resolve, reject) => {
      const onChunk = () => {
        if (++chunks === TOKENS_BEFORE) resolve();
      };
      stream = ask(fleet, PROMPT_TOKENS, TOKENS_IN_ALL, { fields, onChunk });
      stream.catch(reject);
    });
    return { stream: stream as Promise<Streamed>, underWay };
  });
  await Promise.all(running.map(({ underWay }) => underWay));
  const arriving = await ask(fleet, ARRIVING_TOKENS, 1);
  const streams = await Promise.all(running.map(({ stream }) => stream));
  const untilMs = arriving.startMs + arriving.ttftMs;
  for (const { startMs, chunkMs: times } of streams) {
    if (times.length !== TOKENS_IN_ALL)
      throw new Error(`expected ${TOKENS_IN_ALL} chunks of one token, got ${times.length}`);
    if (startMs + times.at(-1)! < untilMs) throw new Error('a stream ended before the long prompt was computed');
  }
  const gaps = gapsWithin(streams, arriving.startMs, untilMs);
  chunkMs.push(oneChunkMs);
  gapsMs.push(...gaps);
  longestMs.push(Math.max(...gaps));
  progress(
    `a prompt of ${ARRIVING_TOKENS} tokens among ${ARRIVING_AMONG} streams: at most ${Math.max(...gaps).toFixed(0)} ms between tokens, a chunk takes ${oneChunkMs.toFixed(0)} ms`,
  );
}

function report(samples: Samples, notes: readonly string[]): Report {
  const { decode, whole, bare, genai, chunkMs, gapsMs, longestMs } = samples;
  const beside = genai.length > 0;
  const among = `${ARRIVING_AMONG} streams, ${ARRIVING_TOKENS} tokens arriving`;
  const speedUps = STREAMS.slice(1).map(
    (count): ReportRatio =>
      reportRatio(
        `decoding: ${count} streams / 1`,
        quotients(decode[count], decode[1]),
        count === 8 ? { kind: 'at least', value: 5 } : null,
      ),
  );
  return {
    name: 'batch',
    machine: machineLine(),
    rows: [
      ...STREAMS.map((count) => reportRow(`decoding: streams ${count}`, 'tokens/s', decode[count])),
      reportRow(`bare IO-bound loop, rows ${BARE_STREAMS}`, 'tokens/s', bare),
      ...(beside ? [reportRow(`onnxruntime-genai, rows ${BARE_STREAMS}`, 'tokens/s', genai)] : []),
      ...STREAMS.map((count) => reportRow(`with prompts: streams ${count}`, 'tokens/s', whole[count])),
      reportRow(`one chunk of ${CHUNK_TOKENS} tokens of a prompt, alone`, 'ms', chunkMs),
      reportRow(`${among}: between tokens`, 'ms', gapsMs),
      reportRow(`${among}: longest of a round`, 'ms', longestMs),
    ],
    ratios: [
      ...speedUps,
      reportRatio('decoding: 8 streams / bare loop', quotients(decode[BARE_STREAMS], bare)),
      ...(beside
        ? [reportRatio('decoding: 8 streams / genai', quotients(decode[8], genai), { kind: 'at least', value: 1.05 })]
        : []),
      reportRatio('with prompts: 8 streams / 1', quotients(whole[8], whole[1])),
      reportRatio('between tokens, 99th percentile / one chunk', [quantile(gapsMs, 0.99) / median(chunkMs)]),
      reportRatio('between tokens, longest of all / one chunk', [Math.max(...longestMs) / median(chunkMs)], {
        kind: 'at most',
        value: 2.5,
      }),
    ],
    notes,
  };
}
