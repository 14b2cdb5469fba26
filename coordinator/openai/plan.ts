import type { Salt } from '../../src/core/salt.js';
import { InvalidRequest } from '../../src/errors.js';
import { packTokens, type Sampling, type Stopping } from '../../src/protocol/generate.js';
import { StopPattern } from '../../src/text/stop-strings.js';
import type { Span } from '../../src/trace/span.js';
import type { FleetRequest } from '../fleet.js';
import { contextLengthExceeded } from './api-error.js';
import { checkLogprobs, reportableTokens } from './logprob-count.js';
import type { Mark } from './mark.js';
import type { MessagePlan } from './message/message-plan.js';
import type { Prompt } from './prompt.js';
import type { CommonRequest } from './requests.js';
import type { ServedModel } from './served-model.js';

/** Plans the choices of an answer: one sequence of the fleet for each. */

/** One choice: the request to the fleet, and how its tokens become text. */
export interface ChoicePlan {
  readonly index: number;
  /** Index of its prompt in the request. */
  readonly promptIndex: number;
  readonly request: FleetRequest;
  readonly stops: readonly StopPattern[];
  /** Text of the prompt, if the answer starts with it (`echo`); else null. */
  readonly echo: string | null;
  readonly show: TextShow;
  /** How the text is read as a message; null: it is one text. */
  readonly message: MessagePlan | null;
}

/** The tokens of a choice that its text and its reports show. */
interface TextShow {
  readonly specialTokens: boolean;
  /** The stop string or stop token at which the text ends. */
  readonly stop: boolean;
  /** Whether the answer has the ids of all tokens. */
  readonly tokenIds: boolean;
  /** Whether reports name tokens by their ids. */
  readonly tokensAsIds: boolean;
}

/** The fields whose names or defaults differ between endpoints, in common terms. */
export interface Demand {
  readonly prompts: readonly Prompt[];
  /** The requested maximum and the field it came from; null for the endpoint's default. */
  readonly maxTokens: { readonly value: number; readonly param: string } | null;
  readonly defaultMaxTokens: number;
  /** As in `Sampling`, with the field it came from. */
  readonly logprobs: { readonly value: number; readonly param: string } | null;
  readonly echo: boolean;
  /** Texts at which an answer ends, of endpoints whose field is not `stop`. */
  readonly stops?: readonly string[] | undefined;
  /** As in `Sampling`; null for none. */
  readonly constraint: Uint8Array | null;
  /** As in `Sampling`. Default: none. */
  readonly banned?: readonly number[][] | undefined;
  /** How the answer to a prompt is read as a message; null: it is one text. */
  readonly messageOf: ((prompt: Prompt) => MessagePlan | null) | null;
  /** Prefixes of the prompts that are to be kept. Default: none. */
  readonly marks?: readonly Mark[];
}

/** The parts of a sequence's request that do not come from the body's fields. */
export interface Caller {
  readonly sequenceId: string;
  readonly asked?: FleetRequest['asked'];
  /** The salt of a prompt. */
  readonly saltFor: (tokens: Uint32Array) => Salt | null;
  readonly tenant: FleetRequest['tenant'];
  /** The adapter with which the model runs. Default: none. */
  readonly adapter?: FleetRequest['adapter'];
  readonly worker: string | null;
  /** Its part of a trace. Default: nothing is recorded. */
  readonly span?: Span;
}

/**
 * Plans all choices of a request, in order of prompts. Choice k of a prompt samples with seed + k, so that it does not depend on the other
 * prompts and choices of the request. Throws `InvalidRequest` or `ApiError` for fields that do not fit the model.
 */
export function planChoices(
  fields: CommonRequest,
  wanted: Demand,
  caller: Caller,
  model: ServedModel,
  randomSeed: () => number,
): ChoicePlan[] {
  const demand = { ...wanted, logprobs: alternativesOf(fields, wanted) };
  checkPromptLogprobs(fields, demand);
  const n = fields.n ?? 1;
  const { prompts } = demand;
  const stops = (fields.stop ?? demand.stops ?? []).map((stop) => new StopPattern(stop));
  const bursts = fields.stream !== true && stops.length === 0;
  const shared = { ...caller, sampling: samplingOf(fields, demand, model), stops, show: showOf(fields) };
  const choices = prompts.flatMap((prompt, promptIndex) => {
    const stopping = stoppingOf(fields, demand, prompt, model);
    const salt = caller.saltFor(prompt.tokens);
    const seed = fields.seed ?? randomSeed();
    const echo = demand.echo ? prompt.text : null;
    const message = demand.messageOf?.(prompt) ?? null;
    return Array.from({ length: n }, (_, k): ChoicePlan => {
      const index = promptIndex * n + k;
      const request: FleetRequest = {
        requestId: `${caller.sequenceId}-${index}`,
        ...(caller.asked ? { asked: caller.asked } : {}),
        tokens: prompt.tokens,
        salt,
        ...(caller.adapter ? { adapter: caller.adapter } : {}),
        ...(caller.tenant ? { tenant: caller.tenant } : {}),
        sampling: { ...shared.sampling, seed: wrapSeed(seed, k) },
        stopping,
        ...(demand.maxTokens === null ? { leastAnswerTokens: Math.max(1, stopping.minTokens) } : {}),
        ...(bursts ? { bursts } : {}),
        worker: caller.worker,
        ...(caller.span ? { span: caller.span } : {}),
      };
      return { index, promptIndex, request, stops: shared.stops, echo, show: shared.show, message };
    });
  });
  checkPromptIds(choices);
  checkLogprobCount(choices, fields, demand);
  return choices;
}

/** Ids of prompts in one answer, over all choices. */
const ANSWER_PROMPT_IDS = 2 ** 20;

function checkPromptIds(choices: readonly ChoicePlan[]): void {
  if (!choices[0]?.show.tokenIds) return;
  const ids = choices.reduce((sum, { request }) => sum + request.tokens.length, 0);
  if (ids <= ANSWER_PROMPT_IDS) return;
  throw new InvalidRequest(
    `return_token_ids: the prompts of all choices have ${ids} tokens; must be at most ${ANSWER_PROMPT_IDS}; send fewer prompts or a smaller n`,
    'return_token_ids',
  );
}

function showOf(fields: CommonRequest): TextShow {
  return {
    specialTokens: fields.skip_special_tokens === false,
    stop: fields.include_stop_str_in_output ?? false,
    tokenIds: fields.return_token_ids ?? false,
    tokensAsIds: fields.return_tokens_as_token_ids ?? false,
  };
}

/** The alternatives of each token: the requested number, or the named ones. */
function alternativesOf({ logprob_token_ids: ids = [] }: CommonRequest, { logprobs }: Demand): Demand['logprobs'] {
  if (ids.length === 0) return logprobs;
  if (logprobs === null)
    throw new InvalidRequest('logprob_token_ids: is only allowed with logprobs', 'logprob_token_ids');
  return { value: ids.length, param: 'logprob_token_ids' };
}

function checkPromptLogprobs({ prompt_logprobs: wanted, stream }: CommonRequest, { echo, logprobs }: Demand): void {
  if (wanted === undefined) return;
  const other = stream ? 'stream' : echo && logprobs !== null ? 'echo and logprobs' : null;
  if (other !== null) throw new InvalidRequest(`prompt_logprobs: cannot be combined with ${other}`, 'prompt_logprobs');
}

function checkLogprobCount(
  choices: readonly ChoicePlan[],
  { stream, prompt_logprobs: ofPrompt }: CommonRequest,
  { logprobs, maxTokens, echo }: Demand,
): void {
  if (logprobs === null && ofPrompt === undefined) return;
  const requests = choices.map(({ request }) => request);
  const prompts = echo || ofPrompt !== undefined;
  checkLogprobs(requests, stream ? 'stream' : 'whole', logprobs?.param ?? 'prompt_logprobs', [
    ...(logprobs === null ? [] : [maxTokens?.param ?? 'max_tokens']),
    ...(echo ? ['echo'] : []),
    ...(prompts ? ['prompt', 'n'] : ['n']),
  ]);
}

function samplingOf(
  fields: CommonRequest,
  { logprobs, echo, constraint, banned = [] }: Demand,
  { defaults, tokenizer }: ServedModel,
): Omit<Sampling, 'seed'> {
  const logitBias = Object.entries(fields.logit_bias ?? {}).map(([key, bias]): [number, number] => [Number(key), bias]);
  const { allowed_token_ids: allowed, logprob_token_ids: named = [], prompt_logprobs: ofPrompt } = fields;
  const ids = { logit_bias: logitBias.map(([id]) => id), allowed_token_ids: allowed ?? [], logprob_token_ids: named };
  for (const [param, list] of Object.entries(ids)) checkIds(list, param, tokenizer.vocabSize);
  return {
    temperature: fields.temperature ?? defaults.temperature ?? 1,
    topK: Math.max(0, fields.top_k ?? defaults.topK ?? 0),
    topP: fields.top_p ?? defaults.topP ?? 1,
    minP: fields.min_p ?? defaults.minP ?? 0,
    presencePenalty: fields.presence_penalty ?? 0,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    repetitionPenalty: fields.repetition_penalty ?? defaults.repetitionPenalty ?? 1,
    logitBias,
    logprobs: logprobs?.value ?? null,
    promptLogprobs: ofPrompt !== undefined || (echo && logprobs !== null),
    ...(ofPrompt === undefined ? {} : { promptAlternatives: ofPrompt }),
    ...(named.length === 0 ? {} : { logprobTokens: [...new Set(named)] }),
    ...(allowed === undefined ? {} : { allowed: packTokens(allowed) }),
    ...(banned.length === 0 ? {} : { banned: [...banned] }),
    ...(constraint === null ? {} : { constraint }),
  };
}

function stoppingOf(fields: CommonRequest, demand: Demand, prompt: Prompt, model: ServedModel): Stopping {
  const maxTokens = maxTokensOf(demand, prompt, model.contextTokens, maxReportableTokens(fields, demand));
  const minTokens = fields.min_tokens ?? 0;
  if (minTokens > maxTokens) {
    throw new InvalidRequest(
      `min_tokens: must be at most ${maxTokens}, the maximum length of this answer, got ${minTokens}`,
      'min_tokens',
    );
  }
  const tokenIds = fields.stop_token_ids ?? [];
  checkIds(tokenIds, 'stop_token_ids', model.tokenizer.vocabSize);
  return { maxTokens, minTokens, tokenIds, ignoreEos: fields.ignore_eos ?? false };
}

/** How many tokens a choice may generate before the answer has too many log-probabilities. A stream has no such limit. */
function maxReportableTokens({ stream, n = 1 }: CommonRequest, { logprobs, prompts }: Demand): number {
  return reportableTokens(stream ? null : (logprobs?.value ?? null), prompts.length * n);
}

function maxTokensOf(demand: Demand, prompt: Prompt, contextTokens: number, most: number): number {
  const { maxTokens, defaultMaxTokens, echo } = demand;
  const length = prompt.tokens.length;
  const room = contextTokens - length;
  if (room < 0 || (room === 0 && maxTokens?.value !== 0)) {
    throw contextLengthExceeded(
      `${prompt.param}: has ${length} tokens; the model's context of ${contextTokens} must hold the prompt and the answer`,
      prompt.param,
    );
  }
  if (maxTokens === null) return Math.min(defaultMaxTokens, room, most);
  if (maxTokens.value > room) {
    throw contextLengthExceeded(
      `${maxTokens.param}: must be at most ${room} after a prompt of ${length} tokens; the model's context is ${contextTokens}`,
      maxTokens.param,
    );
  }
  if (maxTokens.value === 0 && !echo) {
    throw new InvalidRequest(`${maxTokens.param}: may be 0 only with echo`, maxTokens.param);
  }
  return maxTokens.value;
}

function checkIds(ids: readonly number[], param: string, vocabSize: number): void {
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong === undefined) return;
  throw new InvalidRequest(`${param}: ${wrong} is not a token id; must be 0 to ${vocabSize - 1}`, param);
}

/** Wraps any integer to 53 bits, the range of `Sampling.seed`. */
function wrapSeed(seed: number, offset: number): number {
  return Number(BigInt.asUintN(53, BigInt(seed) + BigInt(offset)));
}
