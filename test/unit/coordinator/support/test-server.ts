import { onTestFinished } from 'vitest';
import { openAccess } from '../../../../coordinator/access/open-access.js';
import { RequestJournal } from '../../../../coordinator/console/request-journal.js';
import { SegmentHeat } from '../../../../coordinator/console/segment-heat.js';
import { SlowRequests } from '../../../../coordinator/console/slow-requests.js';
import { WorkerActivities } from '../../../../coordinator/console/worker-activities.js';
import { createHttpServer, type HttpOptions } from '../../../../coordinator/http/create-http-server.js';
import type { AdapterCommands } from '../../../../coordinator/http/routes/adapters.js';
import type { KvDeps } from '../../../../coordinator/http/routes/kv.js';
import { Layers } from '../../../../coordinator/layers/layers.js';
import { messageFormatOf } from '../../../../coordinator/openai/message/message-format.js';
import { NO_ADAPTERS, type ServedModel } from '../../../../coordinator/openai/served-model.js';
import { Quotas } from '../../../../coordinator/quota/quotas.js';
import { ResponseStore } from '../../../../coordinator/responses/response-store.js';
import type { RuntimeView } from '../../../../coordinator/runtime/runtime-view.js';
import type { Bus } from '../../../../src/bus/bus.js';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { type Clock, SystemClock } from '../../../../src/clock.js';
import type { JwtConfig } from '../../../../src/config/jwt-config.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import type { Salt } from '../../../../src/core/salt.js';
import { createLog } from '../../../../src/log.js';
import { CoordinatorMetrics } from '../../../../src/metrics/coordinator-metrics.js';
import { MetricsRegistry } from '../../../../src/metrics/registry.js';
import { ChatTemplate } from '../../../../src/model/chat-template.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { Tokenizer } from '../../../../src/model/tokenizer.js';
import { tokenizerInfo } from '../../../../src/model/tokenizer-info.js';
import { SeededRandom } from '../../../../src/random.js';
import type { Tracer } from '../../../../src/trace/span.js';
import type { TrailEvent } from '../../../../src/trail/entry.js';
import { inlineText } from '../../../support/inline-text.js';
import { counter } from './counter.js';
import { MemoryObjects } from './memory-objects.js';
import { ScriptedFleet } from './scripted-fleet.js';
import { ScriptedPurges } from './scripted-purges.js';
import { ScriptedRetentions } from './scripted-retentions.js';

const folder = await openModelFolder('models/recall');
const tokenizer = await Tokenizer.load(folder);

export const CONTEXT_TOKENS = 512;
/** The real tokenizer and chat template of `models/recall`, with a short context. */
export const MODEL: ServedModel = {
  name: 'recall',
  aliases: ['shoal/recall'],
  adapters: NO_ADAPTERS,
  tokenizer,
  tokenizerInfo: tokenizerInfo(folder),
  text: await inlineText(folder),
  message: { tools: null, reasoning: null, channels: false, marks: new Map() },
  contextTokens: CONTEXT_TOKENS,
  defaults: folder.defaults,
  createdAt: 1_700_000_000,
};

/** Of a model that takes no adapters. */
const NO_COMMANDS: AdapterCommands = {
  load: () => Promise.reject(new Error('no adapters')),
  unload: async () => false,
};

/** The template of `models/recall`. */
export const TEMPLATE = ChatTemplate.from(folder)!;
/** The model with another chat template, and perhaps one of its own for chats with tools. */
export async function modelWith(chatTemplate: string, toolTemplate: string | null = null): Promise<ServedModel> {
  const message = messageFormatOf(chatTemplate, tokenizer, { toolCalls: 'auto', reasoning: 'auto' }, toolTemplate);
  return { ...MODEL, text: await inlineText({ ...folder, chatTemplate, toolTemplate }), message };
}
export const idsOf = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });

/** The keys of a test server; without any, its API is open. */
export interface TestKeys {
  readonly apiKeys: readonly string[];
  readonly metricsKeys: readonly string[];
  readonly keysFile: string | null;
  readonly jwt: JwtConfig | null;
}

type TestOptions = HttpOptions &
  TestKeys & {
    /** Time for which answers are stored; null: none is stored. */
    readonly responseTtlMs: number | null;
    readonly model: ServedModel;
    readonly adapters: AdapterCommands;
    readonly runtime: RuntimeView;
    readonly kv: KvDeps | null;
    readonly tracer: Tracer | null;
  };

const none = async () => ({ entries: [], silent: [] });
const NO_RUNTIME: RuntimeView = { nodes: () => [], actors: none, tasks: none, groups: none, objects: none };

/** The cluster secret of a test server. */
export const TEST_SECRET = 'a secret that all of the fleet know';

export interface TestServer extends Awaited<ReturnType<typeof createHttpServer>> {
  readonly fleet: ScriptedFleet;
  readonly retentions: ScriptedRetentions;
  readonly layers: Layers;
  readonly purges: ScriptedPurges;
  /** Where answers are stored. */
  readonly objects: MemoryObjects;
  readonly logged: string[];
  /** The entries of its audit log. */
  readonly trail: TrailEvent[];
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The value of a metric, by its name with labels. */
  metric(name: string): Promise<number | null>;
}

/** Keys of the full blocks of a prompt in the fleet of a test server. */
export function keysUnder(tokens: Uint32Array, salt: Salt | null): string[] {
  const seed = rootSeed({ fingerprint: 'f'.repeat(64), adapter: '', salt: salt ?? '' });
  return blockKeys(tokens, seed).map(({ key }) => key);
}

let servers = 0;

/** A server over a scripted fleet on a free port, closed when the test ends. */
export async function testServer(
  {
    apiKeys = [],
    metricsKeys = [],
    keysFile = null,
    jwt = null,
    model = MODEL,
    adapters = NO_COMMANDS,
    runtime = NO_RUNTIME,
    kv = null,
    tracer = null,
    responseTtlMs = 60_000,
    ...options
  }: Partial<TestOptions> = {},
  clock: Clock = new SystemClock(),
  bus: Bus = new MemoryBroker().connect('coordinator'),
): Promise<TestServer> {
  const fleet = new ScriptedFleet();
  const retentions = new ScriptedRetentions();
  const layers = new Layers({ kind: 'prefix' });
  const purges = new ScriptedPurges();
  const wallMs = () => clock.now();
  const objects = new MemoryObjects(wallMs);
  const logged: string[] = [];
  const trail: TrailEvent[] = [];
  const config = { apiKeys, metricsKeys, keysFile, jwt, secret: TEST_SECRET };
  const log = createLog({ level: 'debug', write: (line) => logged.push(line) });
  const { access, parts } = openAccess(config, { clock, log, wallMs });
  const stored = { objects, objectBytes: 2 ** 24, clock, wallMs, log };
  for (const part of parts) {
    await part.start();
    onTestFinished(() => part.stop());
  }
  const quotas = new Quotas({ bus, clock, wallMs, subject: 'fleet.usage', self: `c${++servers}` });
  quotas.start();
  onTestFinished(() => quotas.stop());
  const slow = new SlowRequests();
  const heat = new SegmentHeat(clock, { holders: () => [], homes: () => [] });
  const server = await createHttpServer({
    fleet,
    retentions,
    layers,
    purges,
    runtime,
    kv,
    tracer,
    keysOf: (tokens, salt) => keysUnder(tokens, salt),
    trail: { write: (entry) => trail.push(entry) },
    model,
    adapters,
    responses: responseTtlMs === null ? null : new ResponseStore({ ...stored, ttlMs: responseTtlMs }),
    options: {
      host: '127.0.0.1',
      port: 0,
      version: '1.2.3',
      allowRouting: true,
      closeGraceMs: 0,
      metricsAgeMs: 0,
      ...options,
    },
    access,
    quotas,
    log,
    metrics: new CoordinatorMetrics(new MetricsRegistry()),
    clock,
    console: {
      journal: new RequestJournal(clock, slow, heat, counter()),
      heat,
      activities: new WorkerActivities({ members: () => [], ask: () => Promise.reject(new Error('nobody to ask')) }),
      countBlocks: () => ({ blocks: 7, below: 0 }),
      blocksOf: () => null,
      slow,
      disturbances: { tell: () => {}, listen: () => {}, behavior: () => ({ ordered: () => {} }) },
      runtime: { answer: async () => ({ nodes: [], actors: [], tasks: [], silent: [], more: false }) },
    },
    random: new SeededRandom(1),
  });
  onTestFinished(() => server.close());
  return {
    fleet,
    retentions,
    layers,
    purges,
    objects,
    logged,
    trail,
    url: server.url,
    renewTls: (tls) => server.renewTls(tls),
    forgetAnswers: (group) => server.forgetAnswers(group),
    close: () => server.close(),
    post: (path, body, headers = {}) =>
      fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
      }),
    metric: async (name) => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
      return line === undefined ? null : Number(line.slice(name.length + 1));
    },
  };
}
