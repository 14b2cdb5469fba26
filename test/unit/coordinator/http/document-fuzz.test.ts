import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FleetRequest } from '../../../../coordinator/fleet.js';
import type { AdapterCommands } from '../../../../coordinator/http/routes/adapters.js';
import type { KvDeps } from '../../../../coordinator/http/routes/kv.js';
import { SystemClock } from '../../../../src/clock.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { CoarseUse } from '../../../../src/objects/coarse-use.js';
import { FleetObjects } from '../../../../src/objects/fleet-objects.js';
import { ValueStaging } from '../../../../src/objects/value-staging.js';
import { SystemRandom } from '../../../../src/random.js';
import { ALONE, RespStation } from '../../resp/support/resp-station.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';
import { arbitraryOf, bodyText, mutated } from './support/request-arbitrary.js';

const MiB = 2 ** 20;
const RUNS = 20;

type Schema = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Operation {
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const MESSAGES = [{ role: 'user', content: 'hello' }];

/** A body that each route with a body accepts. */
const ACCEPTED: Readonly<Record<string, object>> = {
  'post /v1/completions': { prompt: 'the' },
  'post /v1/chat/completions': { messages: MESSAGES },
  'post /v1/responses': { input: 'hello' },
  'post /v1/messages': { messages: MESSAGES, max_tokens: 9 },
  'post /v1/messages/count_tokens': { messages: MESSAGES },
  'post /v1/load_lora_adapter': { lora_name: 'tuned', lora_path: 'tuned' },
  'post /v1/unload_lora_adapter': { lora_name: 'tuned' },
  'post /tokenize': { prompt: 'the' },
  'post /detokenize': { tokens: [40, 41] },
  'post /v1/cache/explain': { prompt: 'the' },
  'post /v1/cache/purge': { cache_salt: 'a' },
  'post /v1/cache/pin': { prompt: 'the key '.repeat(80) },
  'post /v1/kv/exists': { keys: ['a'] },
};

/** Segments of a path, as they stand in an address. */
const SEGMENTS = [
  'w1',
  'recall',
  'a',
  'exists',
  '%00',
  '%F0%9F%90%B2',
  '%',
  '%ff',
  '..%2f..',
  '__proto__',
  'constructor',
  'x'.repeat(3_000),
  '%20',
  '-1',
];
const QUERIES = [
  '',
  '?',
  '?limit=0',
  '?limit=-1',
  '?limit=1e9',
  '?after=9999999999999999',
  '?prefix=%ff',
  '?view=memory',
  '?since=NaN',
  '?since=-1',
  '?stream=true',
  '?a=1&a=2',
];

const adapters: AdapterCommands = {
  load: (name, path) =>
    path === 'tuned'
      ? Promise.resolve({ name, file: path, digest: '0'.repeat(64) } as never)
      : Promise.reject(new InvalidRequest(`lora_path: there is no file '${path}'`, 'lora_path')),
  unload: async (name) => name === 'tuned',
};

/** Says a word, with the reports that the request wants. */
function say({ tokens, sampling }: FleetRequest) {
  const ids = idsOf(' yes');
  const { logprobs, promptLogprobs } = sampling;
  const one = { logprob: -0.5, top: [[ids[0]!, -0.5]] as [number, number][] };
  return saying(ids, {
    ...(logprobs !== null && { logprobs: ids.map(() => one) }),
    ...(promptLogprobs && { prompt: Array.from(tokens, (_, i) => (i === 0 ? null : one)) }),
  });
}

async function kvOfOneWorker(): Promise<KvDeps> {
  const station = await RespStation.open();
  onTestFinished(() => station.close());
  const [clock, wallMs] = [new SystemClock(), () => Date.now()];
  const nodeOf = () => station.objects.home;
  const objects = new FleetObjects({ ring: ALONE, clock, random: new SystemRandom(), nodeOf, own: null });
  return { objects, objectBytes: MiB, staging: new ValueStaging(4 * MiB), coarse: new CoarseUse(), clock, wallMs };
}

/** Checks answers against the document. */
class Judge {
  private readonly ajv = new Ajv2020({ strict: false });

  constructor({ components }: Document) {
    for (const [name, schema] of Object.entries(components.schemas))
      this.ajv.addSchema(schema, `#/components/schemas/${name}`);
  }

  /** What is wrong with an answer; null if nothing is. */
  async wrong(operation: Operation, answer: Response): Promise<string | null> {
    const { status } = answer;
    const known = operation.responses[status];
    const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
    const { content } = known ?? operation.responses.default!;
    const media = content?.[type] ?? content?.['*/*'];
    if (known === undefined && (status < 400 || status >= 500)) return refused(answer, 'the status');
    if (content !== undefined && media === undefined) return refused(answer, `the content type '${type}'`);
    if (type === 'text/event-stream') return this.wrongEvents(answer);
    const text = await answer.text();
    if (media === undefined) return text === '' ? null : `has a body: ${text}`;
    return media.schema ? this.wrongBody(media.schema, type === 'application/json' ? JSON.parse(text) : text) : null;
  }

  private wrongBody(schema: Schema, body: unknown): string | null {
    const validate = typeof schema.$ref === 'string' ? this.ajv.getSchema(schema.$ref)! : this.ajv.compile(schema);
    return validate(body) ? null : `${this.ajv.errorsText(validate.errors)}: ${JSON.stringify(body)}`;
  }

  /** Events are JSON, and none is a fault of the server. The stream of the console has no end. */
  private async wrongEvents(answer: Response): Promise<string | null> {
    if (new URL(answer.url).pathname === '/v1/fleet/events') {
      await answer.body!.cancel();
      return null;
    }
    for (const line of (await answer.text()).split('\n')) {
      const data = /^data: (.*)$/.exec(line)?.[1];
      if (data === undefined || data === '[DONE]') continue;
      if (/"(server_error|internal_error|api_error)"/.test(data)) return data;
      JSON.parse(data);
    }
    return null;
  }
}

/** Does not read the answer, which may have no end. */
async function refused(answer: Response, what: string): Promise<string> {
  await answer.body?.cancel();
  return `${what} of ${answer.status} is not documented`;
}

interface Sent {
  readonly target: string;
  readonly body: string | null;
}

function requestsOf(path: string, accepted: object | undefined, schema: Schema | undefined): fc.Arbitrary<Sent> {
  const target = fc
    .tuple(fc.constantFrom(...SEGMENTS), fc.constantFrom(...QUERIES))
    .map(([segment, query]) => path.replace(/\{\w+\}/, segment) + query);
  if (schema === undefined) return target.map((to) => ({ target: to, body: null }));
  const generated = arbitraryOf(schema);
  const near = generated.map((value) => ({ ...(value as object), ...accepted }));
  const bodies = fc
    .oneof(generated, near, near, near.chain(mutated), fc.constant(accepted ?? {}).chain(mutated))
    .map(bodyText);
  const broken = bodies.map((text) => text.slice(0, Math.ceil(text.length / 2)));
  return fc.record({ target, body: fc.oneof({ weight: 9, arbitrary: bodies }, { weight: 1, arbitrary: broken }) });
}

describe('each route of the OpenAPI document', () => {
  it('answers any request as the document says, and never with a fault', async () => {
    const server = await testServer({ adapters, kv: await kvOfOneWorker() });
    server.fleet.script = say;
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
    const judge = new Judge(document);
    const wrong: string[] = [];
    const statuses: Record<string, Record<number, number>> = {};
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const route = `${method} ${path}`;
        const content = operation.requestBody?.content;
        const ask = async ({ target, body }: Sent) => {
          const sent =
            body ?? (content?.['*/*'] ? 'a value' : method === 'post' && path !== '/ping' ? '{}' : undefined);
          const headers = sent === undefined ? undefined : { 'content-type': 'application/json' };
          const answer = await fetch(server.url + target, {
            method: method.toUpperCase(),
            headers,
            body: sent,
          } as RequestInit);
          statuses[route] ??= {};
          statuses[route][answer.status] = (statuses[route][answer.status] ?? 0) + 1;
          const why = await judge.wrong(operation, answer);
          if (why !== null) wrong.push(`${route} ${target.slice(0, 60)} ${sent?.slice(0, 600)}: ${why.slice(0, 300)}`);
        };
        const schema = content?.['application/json']?.schema;
        if (ACCEPTED[route]) await ask({ target: path, body: JSON.stringify(ACCEPTED[route]) });
        // A profile takes seconds.
        const some =
          path === '/debug/profile'
            ? fc.constant({ target: `${path}?seconds=x`, body: null })
            : requestsOf(path, ACCEPTED[route], schema);
        await fc.assert(fc.asyncProperty(some, ask), {
          numRuns: schema === undefined ? 6 : RUNS,
          seed: 1,
          endOnFailure: true,
        });
      }
    }
    expect(wrong).toEqual([]);
    const succeeded = (route: string) => Object.keys(statuses[route] ?? {}).some((status) => status.startsWith('2'));
    expect(Object.keys(ACCEPTED).filter((route) => !succeeded(route))).toEqual([]);
  });

  it('answers as the document says while the fleet is not ready', async () => {
    const { url, fleet } = await testServer();
    fleet.checks = [{ name: 'nats', ok: false, required: true, latencyMs: 1, detail: 'lost' }];
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
    for (const path of ['/health', '/health/ready']) {
      const answer = await fetch(url + path);
      expect(answer.status).toBe(503);
      expect(await new Judge(document).wrong(document.paths[path]!.get!, answer)).toBeNull();
    }
  });
});
