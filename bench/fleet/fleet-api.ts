import { setTimeout } from 'node:timers/promises';
import { callHttp } from '../../cli/call-http.js';

export interface WorkerRow {
  readonly id: string;
  readonly incarnation: string;
  readonly pid: number;
  readonly host: string;
  readonly state: string;
  /** The members that consider it a maker of wrong blocks. */
  readonly quarantined: { readonly by: readonly string[] } | null;
  readonly address: string;
  readonly blocks: number;
  readonly running: number;
  readonly waiting: number;
}

/** The places of one block of a prompt. */
export interface BlockCopies {
  readonly homes: readonly string[];
  readonly holders: readonly string[];
  readonly tiers: Readonly<Record<string, string>>;
}

export interface FleetMembers {
  readonly model: string;
  readonly epoch: string | number;
  readonly coordinators: readonly { readonly id: string; readonly pid: number }[];
  readonly workers: WorkerRow[];
}

export interface Completion {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string; readonly index: number }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly shoal: {
    readonly worker: string;
    readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
    readonly ttft_ms: number;
    readonly queue_ms: number;
  };
}

/** The answer of the health check. */
export interface Health {
  readonly http: number;
  readonly status: string;
  readonly degraded?: string;
}

/** A client of a fleet's HTTP API. */
export class FleetApi {
  constructor(
    readonly url: string,
    private readonly apiKey: string | null = null,
  ) {}

  post(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
    signal: AbortSignal | null = null,
  ): Promise<Response> {
    return callHttp(this.at(path), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.access, ...headers },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  }

  /** A greedy completion by the recall model; the body can override that. Throws if the status is not 200. */
  async complete(
    body: Record<string, unknown>,
    headers: Record<string, string> = {},
    signal: AbortSignal | null = null,
  ): Promise<Completion> {
    const request = { model: 'recall', temperature: 0, max_tokens: 32, ...body };
    const response = await this.post('/v1/completions', request, headers, signal);
    const answer = (await response.json()) as Completion & { error?: { message: string } };
    if (response.status !== 200) throw new Error(`${response.status}: ${answer.error?.message}`);
    return answer;
  }

  async workers(signal: AbortSignal | null = null): Promise<WorkerRow[]> {
    return (await this.fleet(signal)).workers;
  }

  /** The name of the model, and the fleet's members. Throws if the coordinator does not answer with them. */
  async fleet(signal: AbortSignal | null = null): Promise<FleetMembers> {
    const response = await callHttp(this.at('/v1/fleet'), { headers: this.access, ...(signal && { signal }) });
    if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
    return (await response.json()) as FleetMembers;
  }

  /** Process ids of the coordinators and the workers. */
  async pids(): Promise<number[]> {
    const { coordinators, workers } = await this.fleet();
    return [...coordinators, ...workers].map(({ pid }) => pid);
  }

  /** Calls of the coordinator so far that took this route. */
  async calls(path: 'direct' | 'nats'): Promise<number> {
    return this.metric(`shoal_calls_total{path="${path}"}`);
  }

  /** A metric of the coordinator, by its name with its labels. Throws if there is none. */
  async metric(series: string): Promise<number> {
    return metricOf(await (await callHttp(this.at('/metrics'))).text(), series);
  }

  async health(): Promise<Health> {
    const response = await callHttp(this.at('/health/ready'));
    return { http: response.status, ...((await response.json()) as Omit<Health, 'http'>) };
  }

  /** Polls until the condition holds. The test's time limit bounds it. */
  async until(what: (workers: WorkerRow[]) => boolean): Promise<WorkerRow[]> {
    for (;;) {
      const workers = await this.workers();
      if (what(workers)) return workers;
      // Asking again at once would take a processor from the fleet.
      await setTimeout(20);
    }
  }

  /** Where each block of the prompt is, and where it should be. */
  async blocks(prompt: string): Promise<BlockCopies[]> {
    const response = await this.post('/v1/cache/explain', { prompt });
    return ((await response.json()) as { blocks: BlockCopies[] }).blocks;
  }

  /** Workers that have any block of the prompt. */
  async holders(prompt: string): Promise<Set<string>> {
    return new Set((await this.blocks(prompt)).flatMap((block) => block.holders));
  }

  /** The number of workers that have each block of the prompt. */
  async copies(prompt: string): Promise<number[]> {
    return (await this.blocks(prompt)).map(({ holders }) => holders.length);
  }

  /** Tiers in which a worker has blocks of the prompt. */
  async tiers(prompt: string, worker: string): Promise<Set<string | undefined>> {
    return new Set((await this.blocks(prompt)).map(({ tiers }) => tiers[worker]));
  }

  async countTokens(prompt: string): Promise<number> {
    const response = await this.post('/tokenize', { prompt });
    return ((await response.json()) as { count: number }).count;
  }

  private at(path: string): URL {
    return new URL(path, this.url);
  }

  private get access(): Record<string, string> {
    return this.apiKey === null ? {} : { authorization: `Bearer ${this.apiKey}` };
  }
}

/** One series of a metrics page, by its name with its labels. Throws if there is none. */
function metricOf(page: string, series: string): number {
  const line = page.split('\n').find((text) => text.startsWith(`${series} `));
  if (line === undefined) throw new Error(`the metrics have no ${series}`);
  return Number(line.slice(series.length + 1));
}

/** Runs `jobs` with at most `concurrency` at a time; the results keep their order. */
export async function pooled<T>(concurrency: number, jobs: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = new Array(jobs.length);
  let next = 0;
  const lane = async () => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await jobs[index]!();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return results;
}
