import type { SpanAttributes } from '../../src/trace/span.js';
import type { FinishReason } from './choice.js';
import type { CommonRequest } from './requests.js';

/** How an answer came about, for the log and for traces, by OpenTelemetry's conventions for generative AI. Neither has texts. */

export interface AnswerAccount {
  /** The `id` of the answer, which the client sees. */
  readonly answerId: string;
  /** The names of its sequences on workers begin with it. */
  readonly sequenceId: string;
  /** Worker of the first choice; null if none began. */
  readonly worker: string | null;
  /** Prompt tokens by the source of their K/V, over all choices. */
  readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
  /** Null if no token came. */
  readonly ttftMs: number | null;
  readonly queueMs: number;
  readonly generatedTokens: number;
  /** Of the choices that have ended, in their order. */
  readonly finish: readonly FinishReason[];
}

/** Attributes of a request for tokens. Stop strings are texts of the client, and are not among them. */
export function requestAttributes(
  operation: string,
  fields: CommonRequest,
  maxTokens: number | undefined,
  model: string,
): SpanAttributes {
  const optional: [string, number | undefined][] = [
    ['gen_ai.request.max_tokens', maxTokens],
    ['gen_ai.request.temperature', fields.temperature],
    ['gen_ai.request.top_p', fields.top_p],
    ['gen_ai.request.top_k', fields.top_k],
    ['gen_ai.request.frequency_penalty', fields.frequency_penalty],
    ['gen_ai.request.presence_penalty', fields.presence_penalty],
    ['gen_ai.request.seed', fields.seed],
    ['gen_ai.request.choice.count', fields.n],
  ];
  return {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'shoal',
    'gen_ai.request.model': model,
    ...Object.fromEntries(optional.filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
  };
}

/** Attributes of its answer. */
export function answerAttributes(
  account: AnswerAccount,
  usage: { readonly prompt: number; readonly cached: number },
  model: string,
): SpanAttributes {
  const { answerId, worker, cached, ttftMs, generatedTokens, finish } = account;
  return {
    'gen_ai.response.id': answerId,
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': finish,
    'gen_ai.usage.input_tokens': usage.prompt,
    'gen_ai.usage.cache_read.input_tokens': usage.cached,
    'gen_ai.usage.output_tokens': generatedTokens,
    'shoal.cached.local': cached.local,
    'shoal.cached.remote': cached.remote,
    'shoal.computed': cached.computed,
    ...(worker === null ? {} : { 'shoal.worker': worker }),
    ...(ttftMs === null ? {} : { 'shoal.ttft_ms': ttftMs }),
  };
}
