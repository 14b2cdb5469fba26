export interface WorkerRow {
  readonly id: string;
  readonly incarnation: string;
  readonly pid: number;
  readonly state: string;
  readonly address: string;
  readonly blocks: number;
  readonly running: number;
  readonly waiting: number;
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

/** A client of a fleet's HTTP API, for tests. */
export class FleetApi {
  constructor(readonly url: string) {}

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  /** A greedy completion by the recall model; the body can override that. Throws if the status is not 200. */
  async complete(body: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Completion> {
    const request = { model: 'recall', temperature: 0, max_tokens: 32, ...body };
    const response = await this.post('/v1/completions', request, headers);
    const answer = (await response.json()) as Completion & { error?: { message: string } };
    if (response.status !== 200) throw new Error(`${response.status}: ${answer.error?.message}`);
    return answer;
  }

  async workers(): Promise<WorkerRow[]> {
    const response = await fetch(`${this.url}/v1/fleet`);
    return ((await response.json()) as { workers: WorkerRow[] }).workers;
  }

  /** Process ids of the coordinators and the workers. */
  async pids(): Promise<number[]> {
    const response = await fetch(`${this.url}/v1/fleet`);
    const { coordinators, workers } = (await response.json()) as Record<'coordinators' | 'workers', { pid: number }[]>;
    return [...coordinators, ...workers].map(({ pid }) => pid);
  }

  /** Calls of the coordinator so far that took this route. */
  async calls(path: 'direct' | 'nats'): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    return Number(new RegExp(`^shoal_calls_total\\{path="${path}"\\} (\\d+)$`, 'm').exec(text)![1]);
  }

  /** Polls until the condition holds. The test's time limit bounds it. */
  async until(what: (workers: WorkerRow[]) => boolean): Promise<WorkerRow[]> {
    for (;;) {
      const workers = await this.workers();
      if (what(workers)) return workers;
    }
  }

  /** Workers that have any block of the prompt. */
  async holders(prompt: string): Promise<Set<string>> {
    const response = await this.post('/v1/cache/explain', { prompt });
    const { blocks } = (await response.json()) as { blocks: { holders: string[] }[] };
    return new Set(blocks.flatMap((block) => block.holders));
  }

  /** The number of workers that have each block of the prompt. */
  async copies(prompt: string): Promise<number[]> {
    const response = await this.post('/v1/cache/explain', { prompt });
    const { blocks } = (await response.json()) as { blocks: { holders: string[] }[] };
    return blocks.map(({ holders }) => holders.length);
  }

  /** Tiers in which a worker has blocks of the prompt. */
  async tiers(prompt: string, worker: string): Promise<Set<string | undefined>> {
    const response = await this.post('/v1/cache/explain', { prompt });
    const { blocks } = (await response.json()) as { blocks: { tiers: Record<string, string> }[] };
    return new Set(blocks.map(({ tiers }) => tiers[worker]));
  }

  async countTokens(prompt: string): Promise<number> {
    const response = await this.post('/tokenize', { prompt });
    return ((await response.json()) as { count: number }).count;
  }
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
