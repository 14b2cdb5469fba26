import type { Departure } from '../../../../coordinator/advice/departure.js';
import type {
  Explanation,
  Fleet,
  FleetEvent,
  FleetRequest,
  FleetView,
  HealthCheck,
} from '../../../../coordinator/fleet.js';
import type { Recommendation } from '../../../../src/core/capacity/recommendation.js';
import type { Member } from '../../../../src/core/member.js';
import type { Accused } from '../../../../src/core/tribunal.js';
import { Cancelled } from '../../../../src/errors.js';
import type { TokenLogprobs } from '../../../../src/protocol/generate.js';

type Script = (request: FleetRequest, signal: AbortSignal) => AsyncIterable<FleetEvent>;

/** A fleet whose answers a test scripts. */
export class ScriptedFleet implements Fleet {
  readonly asked: { readonly request: FleetRequest; readonly signal: AbortSignal }[] = [];
  readonly calls: string[] = [];
  script: Script = () => saying([]);
  checks: HealthCheck[] = [{ name: 'nats', ok: true, required: true, latencyMs: 1.5, detail: 'connected' }];
  workers: Member[] = [member('w1')];
  quarantined: Accused[] = [];
  advice: Recommendation = { serving: 1, wanted: 1, why: ['none may leave'] };
  leaving: Departure = {
    ...{ state: 'draining', running: 1, waiting: 0, blocks: 3, lastCopies: 2 },
    ...{ safe: false, why: '1 requests have not ended' },
  };

  generate(request: FleetRequest, signal: AbortSignal): AsyncIterable<FleetEvent> {
    this.asked.push({ request, signal });
    return this.script(request, signal);
  }

  view(): FleetView {
    const coordinators = [{ id: 'c1', pid: 7, host: 'here' }];
    return {
      epoch: '0000000000ff',
      ring: this.workers.map(({ id }) => id),
      replicas: 2,
      coordinators,
      workers: this.workers,
      natsConnected: true,
      storeFault: null,
      quarantined: this.quarantined,
    };
  }

  async explain(tokens: Uint32Array, salt: string | null): Promise<Explanation> {
    this.calls.push(`explain ${tokens.length} ${salt}`);
    const block = {
      index: 0,
      key: 'ab',
      homes: ['w1'],
      holders: [],
      tiers: {},
      state: 'miss' as const,
      reason: 'never computed',
    };
    return { blocks: [block], wouldRunOn: 'w1' };
  }

  async drain(worker: string): Promise<void> {
    this.calls.push(`drain ${worker}`);
  }

  async undrain(worker: string): Promise<void> {
    this.calls.push(`undrain ${worker}`);
  }

  async departure(worker: string): Promise<Departure | null> {
    return this.workers.some(({ id }) => id === worker) ? this.leaving : null;
  }

  recommendation(): Recommendation {
    return this.advice;
  }

  pardon(worker: string): boolean {
    this.calls.push(`pardon ${worker}`);
    return this.quarantined.some(({ maker }) => maker.id === worker);
  }

  async resetCache(): Promise<void> {
    this.calls.push('reset');
  }

  async health(): Promise<HealthCheck[]> {
    return this.checks;
  }
}

export interface Saying {
  readonly cached?: { local: number; remote: number; computed: number };
  readonly reason?: 'stop' | 'length';
  /** Log-probabilities of each generated token. */
  readonly logprobs?: readonly TokenLogprobs[];
  /** Log-probabilities of the prompt. */
  readonly prompt?: readonly (TokenLogprobs | null)[];
}

export function started({ cached = { local: 64, remote: 32, computed: 8 } }: Saying = {}): FleetEvent {
  return { type: 'start', worker: 'w1', cached, queueMs: 3 };
}

/** Yields these tokens one by one, then the end. */
export async function* saying(ids: readonly number[], options: Saying = {}): AsyncGenerator<FleetEvent> {
  yield started(options);
  if (options.prompt) yield { type: 'prompt', logprobs: [...options.prompt] };
  for (const [i, id] of ids.entries()) {
    yield { type: 'tokens', ids: [id], ...(options.logprobs ? { logprobs: [options.logprobs[i]!] } : {}) };
  }
  yield { type: 'end', reason: options.reason ?? 'stop', token: null };
}

/** Yields these tokens, then hangs until it is cancelled. */
export async function* sayingForever(ids: readonly number[], signal: AbortSignal): AsyncGenerator<FleetEvent> {
  yield started();
  for (const id of ids) yield { type: 'tokens', ids: [id] };
  await aborted(signal);
  throw new Cancelled('the request was cancelled');
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Fails before its first event. */
export function failing(error: Error): AsyncIterable<FleetEvent> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}

export function member(id: string): Member {
  return {
    id,
    generation: 1,
    incarnation: `${id}-1`,
    refutation: 0,
    state: 'serving',
    pid: 11,
    host: 'here',
    device: 'cpu',
    deviceReason: 'cpu was asked for',
    contextReason: '--context',
    trial: null,
    address: { hostId: 'h', unixPath: `/run/${id}.sock`, tcpHost: '10.0.0.1', tcpPort: 7001 },
    fingerprint: 'f'.repeat(64),
    budget: { device: 100, host: 200 },
    bytes: { device: 10, host: 20 },
    blocks: 3,
    blockBytes: 10,
    running: 1,
    waiting: 0,
    queuedTokens: 0,
    capacity: { contextTokens: 4096, sequences: 8, waiting: 256 },
    hitRate: 0.5,
    rates: { computeMsPerToken: null, decodeMsPerStep: null, fetchBytesPerMs: null },
    computeAgeMs: null,
    disk: 'none',
    holdingsSeq: 0,
  };
}
