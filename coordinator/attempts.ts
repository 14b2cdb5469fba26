import { Cancelled, InternalError, Overloaded, type ShoalError, Unavailable } from '../src/errors.js';
import {
  type GenerateEvent,
  type GenerateRequest,
  packTokens,
  type Sampling,
  type Stopping,
} from '../src/protocol/generate.js';
import type { FleetEvent } from './fleet.js';
import { PromptParts } from './prompt-parts.js';

/** Workers on which one request is tried before the client is told. @internal exported for tests. */
export const REQUEST_ATTEMPTS = 4;

/** One worker that may run the request, and the way to ask it. */
interface ChosenWorker {
  readonly id: string;
  run(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
}

/** What stays the same over all tries of a request. */
export interface Attempted {
  readonly requestId: string;
  readonly fingerprint: string;
  readonly tokens: Uint32Array;
  /** Empty for none. */
  readonly salt: string;
  readonly sampling: Sampling;
  readonly stopping: Stopping;
}

/** A worker that was chosen, and what it is told beside the prompt. Keys and sources belong to the tokens as they were when it was chosen. */
export interface Placed {
  readonly worker: ChosenWorker;
  readonly keys: Uint8Array;
  readonly sources: GenerateRequest['sources'];
  /** The prefill is over: what it left is there to be taken. */
  prefilled(): void;
  /** The bus was lost since. If the request was lost too, that says nothing of the worker. */
  excused(): boolean;
  /** The request is over at this worker, in whatever way. */
  done(): void;
}

/** Says who should run a request next; null if nobody is left. `tried` have failed or refused. */
export type Choose = (tokens: Uint32Array, tried: ReadonlySet<string>, signal: AbortSignal) => Promise<Placed | null>;

/**
 * Runs a request to its one end. A worker that is lost costs nothing but time: the next one gets the prompt with the tokens that have come so
 * far and goes on where the other ended. A worker whose queue is full passes the request on; only if all are full is the client told.
 */
export async function* runToItsEnd(
  request: Attempted,
  choose: Choose,
  signal: AbortSignal,
  onResumed: () => void,
): AsyncGenerator<FleetEvent> {
  const tried = new Set<string>();
  const generated: number[] = [];
  const prompt = new PromptParts(request.tokens.length);
  let started = false;
  let last: ShoalError | null = null;
  for (let losses = 0; losses < REQUEST_ATTEMPTS; ) {
    const tokens = withGenerated(request.tokens, generated);
    const chosen = await choose(tokens, tried, signal);
    if (!chosen) break;
    const { worker, keys, sources } = chosen;
    if (generated.length > 0) onResumed();
    try {
      const message: GenerateRequest = {
        requestId: request.requestId,
        fingerprint: request.fingerprint,
        tokens: packTokens(tokens),
        resumeTokens: generated.length,
        keys,
        salt: request.salt,
        sources,
        // The prompt's own log-probabilities may have come with an earlier try.
        sampling: prompt.complete ? { ...request.sampling, promptLogprobs: false } : request.sampling,
        stopping: request.stopping,
      };
      let start: FleetEvent | null = null;
      prompt.beginAnew();
      for await (const event of worker.run(message, signal)) {
        if (event.type === 'start') {
          // Held back until something came of it: the worker that is named is the one whose words these are.
          start = { ...event, worker: worker.id };
          continue;
        }
        const fresh = event.type === 'prompt' ? prompt.take(event) : event;
        // Before anything is yielded: a client may be slow to take it.
        if (event.type !== 'prompt' || prompt.complete) chosen.prefilled();
        if (fresh === null) continue;
        if (start && !started) yield start;
        started = true;
        if (event.type === 'tokens') generated.push(...event.ids);
        yield fresh;
        if (event.type === 'end') return;
      }
      throw new InternalError(`worker ${worker.id} ended the stream of request ${request.requestId} without an end`);
    } catch (error) {
      if (signal.aborted) throw new Cancelled('the client went away');
      if (!(error instanceof Unavailable || error instanceof Overloaded)) throw error;
      // A full queue costs next to nothing; a worker that is lost may have been lost by this request.
      if (error instanceof Unavailable) losses++;
      // What was lost with the bus may be asked of the same worker again.
      if (error instanceof Overloaded || !chosen.excused()) tried.add(worker.id);
      last = error;
      if (generated.length > 0 && generated.length >= request.stopping.maxTokens) {
        // Only the end itself was lost, and it is known: nobody need be asked for it.
        yield { type: 'end', reason: 'length', token: null };
        return;
      }
    } finally {
      chosen.done();
    }
  }
  throw last ?? new Unavailable('no worker is serving; try again when /health/ready says so');
}

function withGenerated(tokens: Uint32Array, generated: readonly number[]): Uint32Array {
  if (generated.length === 0) return tokens;
  const all = new Uint32Array(tokens.length + generated.length);
  all.set(tokens);
  all.set(generated, tokens.length);
  return all;
}
