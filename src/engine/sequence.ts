import type { BlockMeta } from '../core/block.js';
import type { ConstraintCursor } from '../core/constraint/cursor.js';
import { NO_TENANT, type Tenant } from '../core/fair-shares.js';
import { blockAfter, type KeySeed } from '../core/key.js';
import type { Regime } from '../core/kv-dependence.js';
import { logprobsOf, rankOf } from '../core/sampling/logprobs.js';
import { Sampler } from '../core/sampling/sampler.js';
import type { SamplingScratch } from '../core/sampling/scratch.js';
import { InternalError, Refused } from '../errors.js';
import { BURST_TOKENS, EVENT_TOKENS } from '../limits.js';
import { type GenerateRequest, type TokenLogprobs, unpackTokens } from '../protocol/generate.js';
import { NO_SPAN, type Span } from '../trace/span.js';
import type { AdapterLease } from './adapters.js';
import type { AdmittedRequest, KeyedTokens } from './admission.js';
import type { BacklogPart } from './backlog.js';
import type { Constraints } from './constraints.js';
import { EventStream } from './event-stream.js';
import type { SequenceSlot } from './graph-runner.js';
import type { EndedSequence } from './observer.js';
import type { PrefixCache, PreparedPrefix } from './prefix-cache.js';
import type { RunPlan } from './run-plan.js';
import { SequenceRecord } from './sequence-record.js';

/** One request from its admission to its end: its state, its tokens, its events. */

export type SequenceState =
  /** Admitted. */
  | { readonly name: 'waiting' }
  /** The cache is loading its prefix. */
  | { readonly name: 'preparing' }
  /** Its prefix is loaded and pinned; it waits for a slot. */
  | { readonly name: 'ready'; readonly prefix: PreparedPrefix }
  | { readonly name: 'prefilling'; readonly prefix: PreparedPrefix; readonly slot: SequenceSlot }
  | { readonly name: 'decoding'; readonly slot: SequenceSlot }
  /** Has freed its slot and its pins. */
  | { readonly name: 'ended' };

const TRANSITIONS: Record<SequenceState['name'], readonly SequenceState['name'][]> = {
  waiting: ['preparing', 'ended'],
  preparing: ['ready', 'ended'],
  // Back to waiting if another sequence has started to compute the same blocks, or to let a sequence of another tenant pass.
  ready: ['waiting', 'prefilling', 'ended'],
  prefilling: ['waiting', 'decoding', 'ended'],
  // Back to waiting if it has outgrown its regime, in which its K/V was computed.
  decoding: ['waiting', 'ended'],
  ended: [],
};

export interface SequenceBounds {
  readonly contextTokens: number;
  readonly blockTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly plan: RunPlan;
  /** Null if the engine does not know the bytes of its tokens. */
  readonly constraints: Constraints | null;
}

/** The state of one request. A sequence knows neither graph nor cache: the scheduler and the waiting line pass data in. */
export class Sequence {
  readonly request: GenerateRequest;
  readonly events: EventStream;
  /** Aborted when the sequence is cancelled; the reason is the error that its reader gets. */
  readonly signal: AbortSignal;
  readonly tenant: Tenant;
  /** The number of prompt tokens, without tokens that another worker has generated. */
  readonly promptTokens: number;
  lastTokenMs: number | null = null;
  /** How often it has stopped its prefill to let a sequence of another tenant pass. */
  pauses = 0;
  /** Its part of the engine's backlog, from its place in the waiting line to the end of its prefill. */
  backlog: BacklogPart | null = null;
  /** Its adapter, from the loading of its prefix to its end. Null for none. */
  lease: AdapterLease | null = null;
  readonly record: SequenceRecord;

  private readonly abort = new AbortController();
  private readonly bounds: SequenceBounds;
  private readonly sampler: Sampler;
  private readonly endIds: ReadonlySet<number>;
  private readonly _tokens: Uint32Array;
  /** The length in tokens, prompt and answer, at which the sequence ends. */
  private readonly endLength: number;
  private seed: KeySeed;
  private blocks: BlockMeta[];
  private _regime: Regime;
  private _length: number;
  private offered = 0;
  private _startedOver = false;
  private promptLogprobs: (TokenLogprobs | null)[] = [null];
  private _state: SequenceState = { name: 'waiting' };

  constructor(
    { request, tokens, regime, seed, blocks }: AdmittedRequest,
    bounds: SequenceBounds,
    scratch: SamplingScratch,
    readonly arrivedMs: number,
    onCancel: (sequence: Sequence) => void,
    /** A separate cache, for a sequence without a client, which is not counted either. Null for the engine's cache. */
    readonly ownCache: PrefixCache | null = null,
    span: Span = NO_SPAN,
  ) {
    const { sampling, stopping } = request;
    this.request = request;
    this.record = new SequenceRecord(span);
    this.tenant = request.tenant ?? NO_TENANT;
    this.signal = this.abort.signal;
    this.events = new EventStream(() => this.abort.abort(), request.bursts === true ? BURST_TOKENS : 1);
    this.signal.addEventListener('abort', () => onCancel(this), { once: true });
    this.promptTokens = tokens.length - request.resumeTokens;
    this.bounds = bounds;
    this.endLength = Math.min(bounds.contextTokens, this.promptTokens + stopping.maxTokens);
    this._tokens = new Uint32Array(Math.max(this.endLength, tokens.length));
    this._tokens.set(tokens);
    this._length = tokens.length;
    this.seed = seed;
    this.blocks = [...blocks];
    this._regime = regime;
    const endIds = stopping.ignoreEos ? stopping.tokenIds : [...stopping.tokenIds, ...bounds.eosTokenIds];
    this.endIds = new Set(endIds);
    this.sampler = new Sampler(
      {
        ...sampling,
        allowed: sampling.allowed && unpackTokens(sampling.allowed),
        minTokens: stopping.minTokens,
        endIds,
      },
      tokens.subarray(0, this.promptTokens),
      tokens.subarray(this.promptTokens),
      scratch,
      cursorOf(request, bounds, endIds, tokens.subarray(this.promptTokens)),
    );
  }

  get state(): SequenceState {
    return this._state;
  }

  /** @throws InternalError if `TRANSITIONS` does not allow the transition */
  transition(state: SequenceState): void {
    if (!TRANSITIONS[this._state.name].includes(state.name)) {
      throw new InternalError(`cannot move a sequence from ${this._state.name} to ${state.name}`);
    }
    this._state = state;
    this.record.entered(state.name);
  }

  /** Fails the reader with `error`, and makes all work on the sequence stop as soon as possible. No effect after the end. */
  cancel(error: Error): void {
    this.events.fail(error);
    this.abort.abort(error);
  }

  get cancelled(): boolean {
    return this.signal.aborted;
  }

  /** The number of tokens, prompt and answer. */
  get length(): number {
    return this._length;
  }

  get lastToken(): number {
    return this._tokens[this._length - 1]!;
  }

  /** Whether the sequence has reached its maximum length. */
  get full(): boolean {
    return this._length >= this.endLength;
  }

  /** The number of tokens until it reaches its maximum length. */
  get missing(): number {
    return Math.max(0, this.endLength - this._length);
  }

  /** Tokens that this worker has generated. */
  get generatedTokens(): number {
    return this._length - this.promptTokens - this.request.resumeTokens;
  }

  /** Tokens `[from, to)`, as a view. */
  tokens(from: number, to: number): Uint32Array {
    return this._tokens.subarray(from, to);
  }

  /** The regime in which its K/V is computed. */
  get regime(): Regime {
    return this._regime;
  }

  /** All its tokens so far. */
  allTokens(): Uint32Array {
    return this.tokens(0, this._length);
  }

  /** Whether its reader received the start event, and perhaps tokens, from an earlier computation. */
  get startedOver(): boolean {
    return this._startedOver;
  }

  /** Starts over under other keys: its K/V becomes invalid. Events sent to its reader stay valid. */
  startOver({ regime, seed, blocks }: KeyedTokens): void {
    this._regime = regime;
    this.seed = seed;
    this.blocks = [...blocks];
    this.offered = 0;
    this._startedOver = true;
    this.transition({ name: 'waiting' });
  }

  /** The blocks that the cache may provide: they leave at least one token to compute. None if logits of the prompt are requested. */
  prefixBlocks(): readonly BlockMeta[] {
    if (this.wantsPromptLogprobs) return [];
    const tokens = Math.min(this._length - 1, this.bounds.plan.shareableTokens(this));
    return this.blocks.slice(0, Math.floor(tokens / this.bounds.blockTokens));
  }

  /** Whether log-probabilities of the prompt are requested, and not computed yet. */
  get wantsPromptLogprobs(): boolean {
    return this.request.sampling.promptLogprobs && !this.startedOver;
  }

  /** Marks the first `blocks` blocks as cached, so they are not offered to the cache. */
  skipOffers(blocks: number): void {
    this.offered = blocks;
  }

  /** Offers no more blocks. */
  stopOffers(): void {
    this.offered = Number.POSITIVE_INFINITY;
  }

  /**
   * The next block to offer to the cache, which is then marked as offered. Null if no further block is full. Keys of blocks that the answer
   * fills are computed here.
   * @param finalTokens the number of tokens whose K/V is final
   */
  nextOffer(finalTokens: number): BlockMeta | null {
    const size = this.bounds.blockTokens;
    const index = this.offered;
    if ((index + 1) * size > Math.min(finalTokens, this.bounds.plan.shareableTokens(this))) return null;
    if (index >= this.blocks.length) {
      const own = this.tokens(index * size, (index + 1) * size);
      this.blocks.push(blockAfter(this.blocks.at(-1) ?? null, own, this.seed));
    }
    this.offered++;
    return this.blocks[index]!;
  }

  /** Adds the log-probability of the prompt token after `position`, from the logits at `position`. Sends an event when one is full. */
  addPromptLogits(logits: Float32Array, position: number): void {
    if (position + 1 >= this.promptTokens) return;
    const token = this._tokens[position + 1]!;
    const { promptAlternatives: ranked, logprobTokens, logprobs } = this.request.sampling;
    const ofToken = logprobsOf(logits, token, ranked ?? logprobTokens ?? logprobs ?? 0);
    this.promptLogprobs.push(ranked === undefined ? ofToken : { ...ofToken, rank: rankOf(logits, token) });
    if (this.promptLogprobs.length >= EVENT_TOKENS) this.flushPromptLogprobs();
  }

  /** Sends the log-probabilities of the prompt that were added and not sent yet. */
  flushPromptLogprobs(): void {
    if (this.promptLogprobs.length === 0) return;
    this.events.push({ type: 'prompt', logprobs: this.promptLogprobs });
    this.promptLogprobs = [];
  }

  /**
   * Chooses the next token from the logits of the last position, and sends it. Returns false if the sequence has ended, after sending the end.
   * @throws InternalError if the logits are not a distribution
   */
  advance(logits: Float32Array): boolean {
    const { token, logprobs } = this.sampler.next(logits, this._length);
    if (this.endIds.has(token)) {
      this.sendEnd('stop', token);
      return false;
    }
    const goesOn = this.sampler.keep(token);
    this._tokens[this._length++] = token;
    this.events.push({ type: 'tokens', ids: [token], ...(logprobs === null ? {} : { logprobs: [logprobs] }) });
    if (!goesOn && this.endIds.size === 0) {
      this.sendEnd('stop', null);
      return false;
    }
    if (this.full) this.sendEnd('length', null);
    return !this.full;
  }

  /** Ends a sequence whose answer may have no tokens. */
  endWithoutToken(): void {
    this.sendEnd('length', null);
  }

  private sendEnd(reason: 'stop' | 'length', token: number | null): void {
    this.record.reason = reason;
    this.events.push({ type: 'end', reason, token });
    this.events.close();
  }
}

function cursorOf(
  { sampling }: GenerateRequest,
  { constraints }: SequenceBounds,
  endIds: readonly number[],
  generated: Uint32Array,
): ConstraintCursor | null {
  if (sampling.constraint === undefined) return null;
  if (constraints === null) throw new Refused('cannot constrain an answer: this engine has no vocabulary');
  return constraints.cursor(sampling.constraint, endIds, generated);
}

/** The log's fields for a sequence that has ended. */
export function endedSequence({ request, record, generatedTokens }: Sequence): EndedSequence {
  const { prompt, queueMs, firstTokenMs, reason, span } = record;
  const ids = { requestId: request.requestId, traceId: span.traceId };
  return { ...ids, promptTokens: prompt, generatedTokens, queueMs, firstTokenMs, finish: reason };
}
