import type { z } from 'zod';
import type { Clock } from '../../../src/clock.js';
import type { Constraint } from '../../../src/core/constraint/constraint.js';
import type { AdapterRequests } from '../../../src/metrics/adapter-metrics.js';
import type { RequestMetrics } from '../../../src/metrics/request-metrics.js';
import type { Random } from '../../../src/random.js';
import type { TextCaller } from '../../../src/text/text-work.js';
import type { Span } from '../../../src/trace/span.js';
import { checkModel } from '../../access/model-access.js';
import { tenantOf } from '../../access/principal.js';
import type { Fleet } from '../../fleet.js';
import type { Layers } from '../../layers/layers.js';
import { type AnswerHead, answerChunks, type StreamUsage, wholeAnswer } from '../../openai/answer.js';
import { answerAttributes, requestAttributes } from '../../openai/answer-account.js';
import type { AnswerShape } from '../../openai/answer-shape.js';
import { ApiError } from '../../openai/api-error.js';
import { bannedRuns } from '../../openai/bad-words.js';
import type { Delta } from '../../openai/choice.js';
import { constraintIn, type NamedConstraint } from '../../openai/constraint-fields.js';
import { generate } from '../../openai/generation.js';
import type { IgnoredNames } from '../../openai/ignored-names.js';
import { jsonInTurns } from '../../openai/json-in-turns.js';
import { promptLogprobs } from '../../openai/logprob-count.js';
import { type LogprobRoom, LogprobShare } from '../../openai/logprob-room.js';
import type { Mark } from '../../openai/mark.js';
import type { MessagePlan } from '../../openai/message/message-plan.js';
import { checkBody, unknownNames } from '../../openai/parameters/check-body.js';
import { type Caller, type ChoicePlan, type Demand, planChoices } from '../../openai/plan.js';
import type { Prompt, PromptReader } from '../../openai/prompt.js';
import type { RequestLimit } from '../../openai/request-limit.js';
import type { CommonRequest } from '../../openai/requests.js';
import type { ServedModel } from '../../openai/served-model.js';
import { Tally } from '../../openai/tally.js';
import { type AnswerBuilder, translatedAnswer, translatedEvents } from '../../openai/translated-answer.js';
import type { MarkedPrompts } from '../../retention/marked-prompts.js';
import type { RequestAccount } from '../request-end.js';
import type { Exchange, RouteAnswer } from '../route.js';
import { textCallerOf } from '../text-caller.js';

/** The common path of completions and chats, from the body to the answer. */

/** The dependencies of the two routes. */
export interface GenerationDeps {
  readonly fleet: Fleet;
  readonly layers: Layers;
  readonly marked: Pick<MarkedPrompts, 'keep'>;
  readonly model: ServedModel;
  readonly prompts: PromptReader;
  readonly requestLimit: RequestLimit;
  readonly logprobRoom: LogprobRoom;
  readonly ignoredNames: IgnoredNames;
  readonly metrics: RequestMetrics;
  readonly adapterRequests: Pick<AdapterRequests, 'add'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether a client may choose the worker. */
  readonly allowRouting: boolean;
}

/** The part that differs between endpoints: which fields there are, how they become a demand, and how answers are rendered. */
export interface GenerationEndpoint<R extends CommonRequest> {
  readonly path: string;
  readonly schema: z.ZodObject & z.ZodType<R>;
  readonly shape: AnswerShape | TranslatedShape<R>;
  demand(request: R, caller: TextCaller): Promise<Omit<Demand, 'constraint' | 'banned' | 'messageOf'>>;
  /** How the answers to prompts are read as messages, and what tools demand of them; null: an answer is one text. */
  readonly message: ((request: R) => MessageReading) | null;
}

/** Answers with one choice, in the form of another API. */
interface TranslatedShape<R> {
  readonly idPrefix: string;
  /** The id of the answer to a request. Default: the prefix and the request's. */
  readonly idOf?: (requestId: string) => string;
  builder(request: R, head: AnswerHead, tally: Tally, marks: readonly Mark[]): AnswerBuilder;
}

export interface MessageReading {
  /** The constraint on the answer in addition to the request's fields; at most one. */
  readonly constraints: readonly NamedConstraint[];
  /** The constraint if there is no other; it leaves the parts of a message intact. At most one. */
  readonly ifFree: readonly NamedConstraint[];
  /** The constraint on all of the answer to a prompt, for one on its text or its calls. */
  frame(constraint: Constraint, prompt: Prompt): Constraint;
  /** @param enforced whether the answer has a given form */
  planOf(prompt: Prompt, enforced: boolean): MessagePlan | null;
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** Answers a request. A stream resolves with its first event. */
export async function answerWithTokens<R extends CommonRequest>(
  { path, schema, shape, demand: demandOf, message: readingOf }: GenerationEndpoint<R>,
  exchange: Exchange,
  deps: GenerationDeps,
): Promise<RouteAnswer> {
  const { model, clock } = deps;
  const request = checkBody(schema, exchange.body);
  const adapter = checkModel(model, request.model, exchange.principal);
  const modelName = adapter?.name ?? model.name;
  if (adapter !== null) deps.adapterRequests.add(adapter.name);
  const ignored = unknownNames(schema, exchange.body);
  deps.ignoredNames.note(path, ignored);
  const reading = readingOf?.(request) ?? null;
  const enforced = constraintIn(request, reading?.constraints ?? []);
  const wanted = enforced ?? constraintIn(request, reading?.ifFree ?? []);
  const texts = textCallerOf(exchange);
  const own = await demandOf(request, texts);
  const whole = wanted && (reading?.frame(wanted.constraint, own.prompts[0]!) ?? wanted.constraint);
  const constraint = whole && (await model.text.constrain(whole, wanted, texts));
  const messageOf = reading && ((prompt: Prompt) => reading.planOf(prompt, enforced !== null));
  const banned = await bannedRuns(request.bad_words ?? [], model.text, texts);
  const demand = { ...own, constraint, banned, messageOf };
  const operation = reading === null ? 'text_completion' : 'chat';
  const span = exchange.span.child(
    `${operation} ${modelName}`,
    requestAttributes(operation, request, own.maxTokens?.value, modelName),
  );
  exchange.onClose(() => span.end());
  const caller = {
    // Not the client's name for the request, which several requests may share.
    sequenceId: `${shape.idPrefix}${Buffer.from(deps.random.bytes(16)).toString('hex')}`,
    asked: { id: exchange.requestId, arrivedMs: exchange.arrivedMs },
    saltFor: (tokens: Uint32Array) => deps.layers.saltFor(tokens, exchange.principal, request.cache_salt),
    tenant: tenantOf(exchange.principal),
    adapter,
    worker: workerOf(exchange, deps),
    span,
  };
  const planned = planChoices(request, demand, caller, model, () => deps.random.below(2 ** 53));
  const choices = countTokens(demand, planned, exchange);
  const share = logprobShareFor(choices, exchange, deps);
  const tally = new Tally(choices, ignored);
  const head = { id: idOf(shape, exchange), created: Math.floor(clock.now() / 1_000), model: modelName };
  exchange.account(() => accountOf(tally, { answerId: head.id, sequenceId: caller.sequenceId }, span, modelName));
  keepMarks(demand, caller, tally, exchange, deps);
  const job = { choices, tally, arrivedMs: exchange.arrivedMs, use: exchange.use, signal: exchange.signal };
  const deltas = generate(job, { ...deps, tokenizer: model.tokenizer });
  if ('builder' in shape) return translated(deltas, shape.builder(request, head, tally, demand.marks ?? []), request);
  const { tokenIds, tokensAsIds } = choices[0]!.show;
  const logprobs = demand.logprobs !== null;
  const ofPrompt = request.prompt_logprobs !== undefined;
  const parts = { logprobs, tokenIds, tokensAsIds, promptLogprobs: ofPrompt };
  const promptIds = (choice: number) => [...choices[choice]!.request.tokens];
  const options = { head, shape, tally, parts, promptIds };
  if (!request.stream) {
    const answer = await wholeAnswer(deltas, { ...options, tokenizer: model.tokenizer, share });
    // Only log-probabilities make an answer long to serialize.
    const isLong = logprobs || ofPrompt;
    const text = isLong ? await jsonInTurns(answer, exchange.signal) : JSON.stringify(answer);
    return { kind: 'text', contentType: JSON_TYPE, text };
  }
  return {
    kind: 'events',
    events: await withFirstEvent(answerChunks(deltas, { ...options, usage: streamUsage(request) }, exchange.signal)),
  };
}

/** What the request came to, also for its span. */
function accountOf(
  tally: Tally,
  names: Parameters<Tally['account']>[0],
  span: Span,
  modelName: string,
): RequestAccount {
  const { prompt_tokens: prompt, prompt_tokens_details: details, completion_tokens: generated } = tally.usage;
  const tokens = { prompt, cached: details.cached_tokens, generated };
  const answer = tally.account(names);
  span.set(answerAttributes(answer, tokens, modelName));
  return { tokens, answer };
}

function idOf<R>(shape: AnswerShape | TranslatedShape<R>, { requestId }: Exchange): string {
  return 'idOf' in shape && shape.idOf ? shape.idOf(requestId) : shape.idPrefix + requestId;
}

async function translated(
  deltas: AsyncIterable<Delta>,
  builder: AnswerBuilder,
  { stream }: CommonRequest,
): Promise<RouteAnswer> {
  if (!stream)
    return { kind: 'text', contentType: JSON_TYPE, text: JSON.stringify(await translatedAnswer(deltas, builder)) };
  return { kind: 'events', form: 'named', events: await withFirstEvent(translatedEvents(deltas, builder)) };
}

/** Retains what the client marked, once its K/V is computed. */
function keepMarks(
  { marks = [] }: Demand,
  { saltFor, tenant, adapter }: Pick<Caller, 'saltFor' | 'tenant' | 'adapter'>,
  tally: Tally,
  exchange: Exchange,
  { marked }: GenerationDeps,
): void {
  if (marks.length === 0) return;
  const owner = exchange.principal?.tenant ?? null;
  exchange.onClose(() => {
    if (tally.usage.completion_tokens === 0) return;
    for (const mark of marks)
      marked.keep({ ...mark, owner, tenant: tenant ?? null, adapter, salt: saltFor(mark.tokens) });
  });
}

function streamUsage({ stream_options: options }: CommonRequest): StreamUsage {
  if (!options?.include_usage) return 'none';
  return options.continuous_usage_stats ? 'each' : 'last';
}

/**
 * Counts the tokens of the prompts, and reserves those of the answers, against the limits of the caller's key. Without a length from the client, its
 * answers end where the tokens of the day do. Throws a 429 over a limit.
 */
function countTokens(
  { prompts, maxTokens }: Demand,
  planned: readonly ChoicePlan[],
  { use, answerHeaders }: Exchange,
): readonly ChoicePlan[] {
  if (use === null) return planned;
  const ofPrompts = prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const left = maxTokens === null ? use.leftToday(ofPrompts) : null;
  const most = left === null ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(left / planned.length));
  const choices = planned.map((choice) => {
    const { stopping } = choice.request;
    const maxTokens = Math.min(stopping.maxTokens, Math.max(most, stopping.minTokens));
    return { ...choice, request: { ...choice.request, stopping: { ...stopping, maxTokens } } };
  });
  use.prompt(
    ofPrompts,
    choices.reduce((sum, { request }) => sum + request.stopping.maxTokens, 0),
  );
  answerHeaders(use.headers());
  return choices;
}

/**
 * The answer's share of the room for log-probabilities, released when the answer has been sent. It covers the log-probabilities of echoed
 * prompts; `wholeAnswer` adds the ones of generated tokens, which a stream never accumulates.
 */
function logprobShareFor(
  choices: readonly ChoicePlan[],
  exchange: Exchange,
  { logprobRoom }: GenerationDeps,
): LogprobShare {
  const share = new LogprobShare(logprobRoom);
  exchange.onClose(() => share.close());
  share.growTo(choices.reduce((sum, { request }) => sum + promptLogprobs(request), 0));
  return share;
}

/** Waits for the first event, so that an earlier failure can still set the HTTP status. The result must be read or returned. */
async function withFirstEvent(events: AsyncGenerator<object | string, void>): Promise<AsyncIterable<object | string>> {
  let first: IteratorResult<object | string, void> | null = await events.next();
  const next = async () => {
    const given = first ?? (await events.next());
    first = null;
    return given;
  };
  // Not a generator, because `return` on one that has not begun would not reach `events`.
  return { [Symbol.asyncIterator]: () => ({ next, return: () => events.return() }) };
}

function workerOf(exchange: Exchange, { allowRouting }: GenerationDeps): string | null {
  const worker = exchange.header('x-shoal-worker');
  if (worker === null || allowRouting) return worker;
  throw new ApiError(403, 'x-shoal-worker: is not allowed; start the coordinator with SHOAL_ALLOW_ROUTING=1', {
    param: 'x-shoal-worker',
    code: 'routing_not_allowed',
  });
}
