import type { Random } from '../../src/random.js';

/** The requests of benchmark `serve`: what services are asked, as prompts of token ids. */

/** One request of a workload. */
export interface WorkloadRequest {
  readonly prompt: readonly number[];
  /** Tokens of the answer. */
  readonly maxTokens: number;
  /** Requests of one session follow each other; null for a request that waits for no other. */
  readonly session: number | null;
}

/** Tokens that even small vocabularies have: the ids after the single bytes, below 956. */
const FIRST_TOKEN = 256;
const TOKENS = 700;

/** The scenarios. All sizes are in tokens. */
const MAKERS = {
  /** Ten prefixes, again and again. */
  'prefix-repetition': (draw) => repeated(draw, 10, { prefix: 256, own: 256, answer: 128 }),
  /** Groups that share a long system prompt, 16 requests each. */
  'shared-groups': (draw) =>
    repeated(draw, Math.min(64, Math.ceil(draw.requests / 16)), { prefix: 2_048, own: 128, answer: 256 }),
  /** Long documents, with five questions about each. */
  documents: (draw) => repeated(draw, Math.ceil(draw.requests / 5), { prefix: 1_536, own: 32, answer: 32 }),
  /** Nothing is shared. */
  'zero-hit': (draw) => repeated(draw, 1, { prefix: 0, own: 512, answer: 64 }),
  /** Conversations of five rounds, with one system prompt. */
  'multi-round': (draw) =>
    conversations(draw, Math.ceil(draw.requests / 5), { common: 512, first: 0, question: 128, answer: 64 }),
  /** Ten agents with the same tools. Each takes step after step. */
  agents: (draw) => conversations(draw, 10, { common: 1_024, first: 128, question: 64, answer: 32 }),
} as const satisfies Record<string, (draw: Draw) => WorkloadRequest[]>;

export type Scenario = keyof typeof MAKERS;
/** @internal exported for tests. */
export const SCENARIOS = Object.keys(MAKERS) as readonly Scenario[];

export interface WorkloadOptions {
  readonly scenario: Scenario;
  readonly requests: number;
  /** Scales all sizes. */
  readonly scalePercent: number;
  readonly random: Random;
}

/** The requests in the order in which they are sent. The same random numbers give the same requests. */
export function workload({ scenario, requests, scalePercent, random }: WorkloadOptions): WorkloadRequest[] {
  return MAKERS[scenario](new Draw(requests, scalePercent, random));
}

/** Draws the tokens of a workload, in its scale. */
class Draw {
  constructor(
    readonly requests: number,
    private readonly scalePercent: number,
    readonly random: Random,
  ) {}

  scaled(tokens: number): number {
    return Math.round((tokens * this.scalePercent) / 100);
  }

  tokens(count: number): number[] {
    return times(this.scaled(count), () => FIRST_TOKEN + this.random.below(TOKENS));
  }
}

/** Requests that each begin with one of some prefixes, in a drawn order. */
function repeated(
  draw: Draw,
  prefixes: number,
  { prefix, own, answer }: { readonly prefix: number; readonly own: number; readonly answer: number },
): WorkloadRequest[] {
  const shared = times(prefixes, () => draw.tokens(prefix));
  const requests = times(draw.requests, (i) => ({
    prompt: [...shared[i % prefixes]!, ...draw.tokens(own)],
    maxTokens: Math.max(1, draw.scaled(answer)),
    session: null,
  }));
  return shuffled(requests, draw.random);
}

/**
 * Conversations that begin alike and take turns, round by round. A server's answers are not known beforehand, so drawn tokens replace them in
 * the next prompt.
 */
function conversations(
  draw: Draw,
  sessions: number,
  sizes: { readonly common: number; readonly first: number; readonly question: number; readonly answer: number },
): WorkloadRequest[] {
  const common = draw.tokens(sizes.common);
  const histories = times(sessions, () => [...common, ...draw.tokens(sizes.first)]);
  return times(draw.requests, (i) => {
    const session = i % sessions;
    const prompt = [...histories[session]!, ...draw.tokens(sizes.question)];
    histories[session] = [...prompt, ...draw.tokens(sizes.answer)];
    return { prompt, maxTokens: Math.max(1, draw.scaled(sizes.answer)), session };
  });
}

/** Fisher and Yates' shuffle. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
