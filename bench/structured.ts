import { fileURLToPath } from 'node:url';
import { benchModel, randomTokens } from './bench-model.js';
import { streamed } from './first-token.js';
import { drawnVocabulary, maskMicros, VOCABULARY_TOKENS } from './mask-times.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';
import { decodeRate } from './streams.js';

/** Benchmark `structured`: the cost of constrained answers. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const STREAMS = 8;
const PROMPT_TOKENS = 64;
const NEW_TOKENS = 128;
const ROUNDS = 7;
/** Part of the free streams' tokens per second that streams under a constraint have at least. */
const LEAST_PART = 0.95;

/** An answer with so many of them is not finished after `NEW_TOKENS`. */
const MANY = 200;
/** Bound of the long texts, in characters. */
const LONG_CHARS = 300;
const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    role: { enum: ['reader', 'writer', 'owner'] },
    active: { type: 'boolean' },
    notes: { type: 'array', items: { type: 'string' }, maxItems: 3 },
  },
  required: ['name', 'age', 'role', 'active', 'notes'],
};

/** Fields of requests, by the name of their streams. Free answers continue after the token that ends a text, as constrained answers do. */
const KINDS = {
  free: { ignore_eos: true },
  schema: { ignore_eos: false, structured_outputs: { json: { type: 'array', minItems: MANY, items: PERSON } } },
  regex: { ignore_eos: false, structured_outputs: { regex: `([a-z]{3,12} [0-9]{1,4};\\n){${MANY}}` } },
  'any object': {
    ignore_eos: false,
    structured_outputs: { json: { type: 'array', minItems: MANY, items: { type: 'object' } } },
  },
  'bounded texts': {
    ignore_eos: false,
    structured_outputs: { json: { type: 'array', minItems: MANY, items: { type: 'string', maxLength: LONG_CHARS } } },
  },
} as const;
type Kind = keyof typeof KINDS;
/** Texts for which the time to find the next tokens is measured alone, with a large vocabulary. */
const TEXTS = {
  'free text': { type: 'string' },
  'bounded text': { type: 'string', maxLength: LONG_CHARS },
} as const;
const ORDER = Object.keys(KINDS) as Kind[];

/**
 * Measures the tokens per second of 8 streams through a fleet of one worker: free, under a JSON Schema, under a regular expression, as JSON of any form, and
 * as texts with a bound. All prompts differ. Each round measures everything, and ratios are medians over the rounds. The vocabulary of the benchmarks' model is
 * small, so the time to find the tokens that may follow is measured with a large one, too.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  progress('starting one worker');
  const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--sequences', String(STREAMS), '--model', model]);
  const rates = Object.fromEntries(ORDER.map((kind) => [kind, [] as number[]])) as Record<Kind, number[]>;
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      // The order alternates, so that drift favours none.
      for (const kind of round % 2 === 0 ? ORDER : ORDER.toReversed()) {
        const rate = await rateOf(fleet, kind);
        progress(`round ${round + 1}: ${kind}: ${rate.toFixed(1)} tokens/s`);
        // The first round warms up.
        if (round >= 0) rates[kind].push(rate);
      }
    }
  } finally {
    await fleet.stop();
  }
  progress(`finding the tokens that may follow, of ${VOCABULARY_TOKENS}`);
  const micros = maskTimes(rounds ?? ROUNDS);
  const bound = { kind: 'at least', value: LEAST_PART } as const;
  return {
    name: 'structured',
    machine: machineLine(),
    rows: [
      ...ORDER.map((kind) => reportRow(`${STREAMS} streams: ${kind}`, 'tokens/s', rates[kind])),
      ...Object.entries(micros).map(([text, samples]) =>
        reportRow(`tokens that may follow, of ${VOCABULARY_TOKENS}: ${text}`, 'µs', samples),
      ),
    ],
    ratios: ORDER.filter((kind) => kind !== 'free').map((kind) =>
      reportRatio(`${kind} / free`, quotients(rates[kind], rates.free), bound),
    ),
  };
}

/** By text: the time for one token, for each round. */
function maskTimes(rounds: number): Record<string, number[]> {
  const vocabulary = drawnVocabulary(1);
  const times: Record<string, number[]> = {};
  for (const [text, schema] of Object.entries(TEXTS)) {
    times[text] = Array.from({ length: rounds }, (_, round) =>
      maskMicros(vocabulary, { type: 'json', schema, closed: false }, round),
    );
  }
  return times;
}

async function rateOf(fleet: RunningFleet, kind: Kind): Promise<number> {
  const worker = fleet.ready.workers[0]!.id;
  const fields = KINDS[kind];
  const streams = await Promise.all(
    Array.from({ length: STREAMS }, () => streamed(fleet, randomTokens(PROMPT_TOKENS), NEW_TOKENS, worker, { fields })),
  );
  for (const { completionTokens } of streams) {
    if (completionTokens !== NEW_TOKENS) throw new Error(`expected ${NEW_TOKENS} tokens, got ${completionTokens}`);
  }
  return decodeRate(streams);
}
