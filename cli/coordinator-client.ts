import { z } from 'zod';
import { Unavailable } from '../src/errors.js';
import { callHttp } from './call-http.js';

const Row = z.looseObject({
  id: z.string(),
  state: z.string(),
  pid: z.number().nullable(),
  host: z.string().nullable(),
  device: z.string(),
  blocks: z.number(),
  bytes: z.object({ device: z.number(), host: z.number() }),
  budget: z.object({ device: z.number(), host: z.number() }),
  running: z.number(),
  waiting: z.number(),
  hit_rate: z.number(),
});

const FleetAnswer = z.looseObject({
  model: z.string(),
  replicas: z.number(),
  epoch: z.union([z.string(), z.number()]),
  coordinators: z.array(z.object({ id: z.string(), pid: z.number().nullable(), host: z.string().nullable() })),
  workers: z.array(Row),
});
export type FleetAnswer = z.infer<typeof FleetAnswer>;

const DepartureAnswer = z.looseObject({ id: z.string(), safe: z.boolean(), why: z.string() });
export type DepartureAnswer = z.infer<typeof DepartureAnswer>;

const ExplainAnswer = z.object({
  blocks: z.array(
    z.object({
      index: z.number(),
      key: z.string(),
      homes: z.array(z.string()),
      holders: z.array(z.string()),
      // Coordinators of earlier versions omit the tiers.
      tiers: z.record(z.string(), z.string()).default({}),
      state: z.enum(['hit', 'miss']),
      reason: z.string().nullable(),
    }),
  ),
});
export type ExplainAnswer = z.infer<typeof ExplainAnswer> & Readonly<Record<string, unknown>>;

const ErrorAnswer = z.object({ error: z.object({ message: z.string() }) });

const ANSWER_TIMEOUT_MS = 30_000;

/** A client for the part of the coordinator's HTTP API that the command line uses. */
export class CoordinatorClient {
  constructor(
    private readonly url: string,
    private readonly apiKey: string | null,
    /** Whether the certificate of a coordinator on this machine is accepted unchecked. */
    private readonly trustsThisMachine = false,
  ) {}

  /** The fleet's workers and coordinators. @throws Unavailable if no coordinator answers, or if it answers with an error */
  async fleet(): Promise<FleetAnswer> {
    return FleetAnswer.parse(await this.call('GET', '/v1/fleet'));
  }

  /** Where the blocks of a prompt are. @throws Unavailable as `fleet` does */
  async explain(prompt: string): Promise<ExplainAnswer> {
    const answer = await this.call('POST', '/v1/cache/explain', { prompt });
    return { ...(typeof answer === 'object' ? answer : {}), ...ExplainAnswer.parse(answer) };
  }

  /** Makes a worker drain. @throws Unavailable as `fleet` does, also for an unknown worker */
  async drain(worker: string): Promise<void> {
    await this.call('POST', `/v1/fleet/workers/${encodeURIComponent(worker)}/drain`, {});
  }

  /** Makes a drained worker serve again. @throws Unavailable as `drain` does */
  async undrain(worker: string): Promise<void> {
    await this.call('POST', `/v1/fleet/workers/${encodeURIComponent(worker)}/undrain`, {});
  }

  /** Whether a worker can end without the loss of a block's last copy. @throws Unavailable as `drain` does */
  async departure(worker: string): Promise<DepartureAnswer> {
    return DepartureAnswer.parse(await this.call('GET', `/v1/fleet/workers/${encodeURIComponent(worker)}/drain`));
  }

  /** Whether the coordinator accepts requests. */
  async isReady(): Promise<boolean> {
    return this.request('GET', '/health/ready').then(
      (response) => response.ok,
      () => false,
    );
  }

  private async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.request(method, path, body).catch((error: unknown) => {
      const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Unavailable(`cannot reach a coordinator at ${this.url}: ${why}; start one with shoal up, or set --url`);
    });
    const answer: unknown = await response.json().catch(() => null);
    if (response.ok) return answer;
    const known = ErrorAnswer.safeParse(answer);
    throw new Unavailable(
      `cannot query ${this.url}${path}: HTTP status ${response.status}: ${known.success ? known.data.error.message : response.statusText}`,
    );
  }

  private request(method: string, path: string, body?: unknown): Promise<Response> {
    return callHttp(new URL(path, this.url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(this.apiKey === null ? {} : { authorization: `Bearer ${this.apiKey}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      trustsThisMachine: this.trustsThisMachine,
    });
  }
}
