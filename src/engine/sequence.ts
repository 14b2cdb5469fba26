import type { BlockMeta } from '../core/block.js';
import { firstBlock, type KeySeed, nextBlock } from '../core/key.js';
import { logprobsOf } from '../core/sampling/logprobs.js';
import { Sampler } from '../core/sampling/sampler.js';
import type { SamplingScratch } from '../core/sampling/scratch.js';
import { InternalError } from '../errors.js';
import { EVENT_TOKENS } from '../limits.js';
import type { GenerateRequest, TokenLogprobs } from '../protocol/generate.js';
import type { AdmittedRequest } from './admission.js';
import { EventStream } from './event-stream.js';
import type { Lane } from './graph-runner.js';
import type { PreparedPrefix } from './prefix-cache.js';

export type SequenceState =
  /** Admitted. */
  | { readonly name: 'waiting' }
  /** The cache is bringing its prefix. */
  | { readonly name: 'preparing' }
  /** Its prefix is here and pinned; it waits for a lane. */
  | { readonly name: 'ready'; readonly prefix: PreparedPrefix }
  | { readonly name: 'prefilling'; readonly prefix: PreparedPrefix; readonly lane: Lane }
  | { readonly name: 'decoding'; readonly lane: Lane }
  /** Holds nothing any more. */
  | { readonly name: 'ended' };

const TRANSITIONS: Record<SequenceState['name'], readonly SequenceState['name'][]> = {
  waiting: ['preparing', 'ended'],
  preparing: ['ready', 'ended'],
  // Back to waiting where somebody else has begun to compute what this sequence was going to.
  ready: ['waiting', 'prefilling', 'ended'],
  prefilling: ['decoding', 'ended'],
  decoding: ['ended'],
  ended: [],
};

export interface SequenceBounds {
  readonly contextTokens: number;
  readonly blockTokens: number;
  readonly eosTokenIds: readonly number[];
}

/** One request, from its admission to its end: its tokens, what was chosen, and what was sent. It knows no graph and no cache. */
export class Sequence {
  readonly request: GenerateRequest;
  readonly events: EventStream;
  /** Aborted when nobody wants the sequence any more; the reason is the error its reader got. */
  readonly signal: AbortSignal;
  /** Prompt tokens, without those that were generated before on another worker. */
  readonly promptTokens: number;
  lastTokenMs: number | null = null;

  private readonly abort = new AbortController();
  private readonly bounds: SequenceBounds;
  private readonly sampler: Sampler;
  private readonly endIds: ReadonlySet<number>;
  private readonly _tokens: Uint32Array;
  /** Its length in tokens when it must end. */
  private readonly endLength: number;
  private readonly seed: KeySeed;
  private readonly blocks: BlockMeta[];
  private _length: number;
  private offered = 0;
  private promptLogprobs: (TokenLogprobs | null)[] = [null];
  private _state: SequenceState = { name: 'waiting' };

  constructor(
    { request, tokens, seed, blocks }: AdmittedRequest,
    bounds: SequenceBounds,
    scratch: SamplingScratch,
    readonly arrivedMs: number,
    onCancel: (sequence: Sequence) => void,
  ) {
    const { sampling, stopping } = request;
    this.request = request;
    this.signal = this.abort.signal;
    this.events = new EventStream(() => this.abort.abort());
    this.signal.addEventListener('abort', () => onCancel(this), { once: true });
    this.promptTokens = tokens.length - request.resumeTokens;
    this.bounds = bounds;
    this.endLength = Math.min(bounds.contextTokens, this.promptTokens + stopping.maxTokens);
    this._tokens = new Uint32Array(Math.max(this.endLength, tokens.length));
    this._tokens.set(tokens);
    this._length = tokens.length;
    this.seed = seed;
    this.blocks = [...blocks];
    const endIds = stopping.ignoreEos ? stopping.tokenIds : [...stopping.tokenIds, ...bounds.eosTokenIds];
    this.endIds = new Set(endIds);
    this.sampler = new Sampler(
      { ...sampling, minTokens: stopping.minTokens, endIds },
      tokens.subarray(0, this.promptTokens),
      tokens.subarray(this.promptTokens),
      scratch,
    );
  }

  get state(): SequenceState {
    return this._state;
  }

  /** @throws InternalError where the table of transitions has no such step. */
  to(state: SequenceState): void {
    if (!TRANSITIONS[this._state.name].includes(state.name)) {
      throw new InternalError(`a sequence cannot go from ${this._state.name} to ${state.name}`);
    }
    this._state = state;
  }

  /** The reader gets `error`; whatever works on the sequence stops when it can. Without effect after the end. */
  cancel(error: Error): void {
    this.events.fail(error);
    this.abort.abort(error);
  }

  get cancelled(): boolean {
    return this.signal.aborted;
  }

  /** Tokens known: prompt and answer. */
  get length(): number {
    return this._length;
  }

  get lastToken(): number {
    return this._tokens[this._length - 1]!;
  }

  /** Whether it may have no more tokens. */
  get full(): boolean {
    return this._length >= this.endLength;
  }

  /** A view. */
  tokens(from: number, to: number): Uint32Array {
    return this._tokens.subarray(from, to);
  }

  /** Blocks that a cache may bring: one token at least is left to compute. None where the prompt's own logits are wanted. */
  prefixBlocks(): readonly BlockMeta[] {
    if (this.request.sampling.promptLogprobs) return [];
    return this.blocks.slice(0, Math.floor((this._length - 1) / this.bounds.blockTokens));
  }

  /** The first `blocks` blocks came from the cache: they are not offered to it. */
  skipOffers(blocks: number): void {
    this.offered = blocks;
  }

  /** Nothing more of it is offered. */
  stopOffers(): void {
    this.offered = Number.POSITIVE_INFINITY;
  }

  /**
   * The next full block among the first `final` tokens that was not offered yet; it then is. The names of blocks that the answer fills are made here.
   */
  nextOffer(final: number): BlockMeta | null {
    const size = this.bounds.blockTokens;
    const index = this.offered;
    if ((index + 1) * size > final) return null;
    if (index >= this.blocks.length) {
      const previous = this.blocks.at(-1);
      const own = this.tokens(index * size, (index + 1) * size);
      this.blocks.push(previous === undefined ? firstBlock(this.seed, own) : nextBlock(previous, own));
    }
    this.offered++;
    return this.blocks[index]!;
  }

  /** Takes the logits of the prompt's position `position`, which tell how likely the token after it was. What fills an event is sent. */
  notePrompt(logits: Float32Array, position: number): void {
    if (position + 1 >= this.promptTokens) return;
    const alternatives = this.request.sampling.logprobs ?? 0;
    this.promptLogprobs.push(logprobsOf(logits, this._tokens[position + 1]!, alternatives));
    if (this.promptLogprobs.length >= EVENT_TOKENS) this.sendPrompt();
  }

  /** Sends what was noted of the prompt and not sent yet. */
  sendPrompt(): void {
    if (this.promptLogprobs.length === 0) return;
    this.events.push({ type: 'prompt', logprobs: this.promptLogprobs });
    this.promptLogprobs = [];
  }

  /**
   * Chooses the next token from the logits of the last position, and sends it. False if that was the end, which is sent too.
   * @throws InternalError if the logits are no distribution
   */
  advance(logits: Float32Array): boolean {
    const { token, logprobs } = this.sampler.next(logits, this._length);
    if (this.endIds.has(token)) {
      this.sendEnd('stop', token);
      return false;
    }
    this._tokens[this._length++] = token;
    this.events.push({ type: 'tokens', ids: [token], ...(logprobs === null ? {} : { logprobs: [logprobs] }) });
    if (this.full) this.sendEnd('length', null);
    return !this.full;
  }

  /** Ends a sequence that may have no token at all. */
  endEmpty(): void {
    this.sendEnd('length', null);
  }

  private sendEnd(reason: 'stop' | 'length', token: number | null): void {
    this.events.push({ type: 'end', reason, token });
    this.events.close();
  }
}
