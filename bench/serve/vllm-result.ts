import { median } from '../report.js';
import type { Served } from './load.js';
import {
  type AnsweredRequest,
  figuresOf,
  isAnswered,
  type Latencies,
  latenciesOf,
  type Objective,
  PERCENTS,
} from './summary.js';

/**
 * The result of a load in the form of `vllm bench serve --save-result --save-detailed`, which others' tools read:
 * https://docs.vllm.ai/en/latest/benchmarking/cli. Times of answers are in milliseconds, `duration`, `ttfts` and `itls` in seconds.
 */

export interface LoadNames {
  readonly date: Date;
  readonly model: string;
  /** Requests per second; infinite for a closed loop. */
  readonly requestRate: number;
  /** Clients of a closed loop; null for an open one. */
  readonly clients: number | null;
}

export function vllmResult(load: readonly Served[], objective: Objective, names: LoadNames): Record<string, unknown> {
  const figures = figuresOf(load, objective);
  const answered = load.filter(isAnswered);
  const each = answered.map(latenciesOf);
  const inputLens = load.map(({ request }) => request.prompt.length);
  const outputLens = load.map((served) => (isAnswered(served) ? served.result.answerTokens : 0));
  const [input, output] = [sum(answered.map(promptTokensOf)), sum(outputLens)];
  return {
    date: names.date.toISOString(),
    endpoint_type: 'openai',
    backend: 'shoal',
    model_id: names.model,
    num_prompts: load.length,
    request_rate: Number.isFinite(names.requestRate) ? names.requestRate : 'inf',
    max_concurrency: names.clients,
    duration: figures.seconds,
    completed: figures.completed,
    failed: figures.failed,
    total_input_tokens: input,
    total_output_tokens: output,
    request_throughput: figures.requestsPerSecond,
    request_goodput: figures.goodput,
    output_throughput: figures.tokensPerSecond,
    total_token_throughput: (input + output) / figures.seconds,
    ...statistics(
      'ttft',
      each.map(({ ttftMs }) => ttftMs),
    ),
    ...statistics(
      'tpot',
      each.flatMap(({ tpotMs }) => tpotMs ?? []),
    ),
    ...statistics(
      'itl',
      each.flatMap(({ itlMs }) => itlMs),
    ),
    ...statistics(
      'e2el',
      each.map(({ endToEndMs }) => endToEndMs),
    ),
    input_lens: inputLens,
    output_lens: outputLens,
    ttfts: detail(load, ({ ttftMs }) => ttftMs / 1_000, 0),
    itls: detail(load, ({ itlMs }) => itlMs.map((ms) => ms / 1_000), []),
    errors: load.map((served) => (isAnswered(served) ? '' : (served.result as Error).message)),
  };
}

function statistics(name: string, samples: readonly number[]): Record<string, number> {
  if (samples.length === 0) return {};
  const mean = sum(samples) / samples.length;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (percent: number) => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!;
  return {
    [`mean_${name}_ms`]: mean,
    [`median_${name}_ms`]: median(samples),
    [`std_${name}_ms`]: Math.sqrt(sum(samples.map((ms) => (ms - mean) ** 2)) / samples.length),
    ...Object.fromEntries(PERCENTS.map((percent) => [`p${percent}_${name}_ms`, at(percent)])),
  };
}

function detail<T>(load: readonly Served[], of: (latencies: Latencies) => T, none: T): T[] {
  return load.map((served) => (isAnswered(served) ? of(latenciesOf(served)) : none));
}

function promptTokensOf({ result }: AnsweredRequest): number {
  return result.promptTokens;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
