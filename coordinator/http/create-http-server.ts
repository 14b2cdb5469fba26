import type { Clock } from '../../src/clock.js';
import type { BlockKey } from '../../src/core/block.js';
import type { SaltGroup } from '../../src/core/purge-selector.js';
import type { Salt } from '../../src/core/salt.js';
import { COORDINATOR_REQUESTS } from '../../src/limits.js';
import type { Log } from '../../src/log.js';
import type { CoordinatorMetrics } from '../../src/metrics/coordinator-metrics.js';
import { watchFleet, watchRecommendation, watchStore } from '../../src/metrics/fleet-metrics.js';
import { type Random, SystemRandom } from '../../src/random.js';
import type { Tracer } from '../../src/trace/span.js';
import type { Access } from '../access/access.js';
import type { Chaos } from '../chaos/chaos.js';
import { type Console, type ConsoleSources, openConsole } from '../console/console.js';
import type { Fleet } from '../fleet.js';
import type { Layers } from '../layers/layers.js';
import { IgnoredNames } from '../openai/ignored-names.js';
import { ANSWER_LOGPROBS } from '../openai/logprob-count.js';
import { LogprobRoom } from '../openai/logprob-room.js';
import { PromptReader } from '../openai/prompt.js';
import { RequestLimit } from '../openai/request-limit.js';
import type { ServedModel } from '../openai/served-model.js';
import type { Purges } from '../purge/purges.js';
import type { Quotas } from '../quota/quotas.js';
import type { ResponseStore } from '../responses/response-store.js';
import { MarkedPrompts } from '../retention/marked-prompts.js';
import type { Retentions } from '../retention/retentions.js';
import type { RuntimeView } from '../runtime/runtime-view.js';
import type { Trail } from '../trail/trail.js';
import type { HttpListenOptions } from './listen-options.js';
import { metered } from './metered.js';
import { Repeats } from './repeats.js';
import type { HttpRoute } from './route.js';
import { aboutRoutes } from './routes/about.js';
import { type AdapterCommands, adapterRoutes } from './routes/adapters.js';
import { cacheRoutes } from './routes/cache.js';
import { chaosRoutes } from './routes/chaos.js';
import { chatRoute } from './routes/chat.js';
import { completionsRoute } from './routes/completions.js';
import { type ComputedKvDeps, computedKvRoutes } from './routes/computed-kv.js';
import { consoleRoutes } from './routes/console.js';
import { consoleTableRoutes } from './routes/console-tables.js';
import { countTokensRoute } from './routes/count-tokens.js';
import { debugRoutes } from './routes/debug.js';
import { documentRoutes } from './routes/documents.js';
import { fleetRoutes } from './routes/fleet.js';
import { healthRoutes } from './routes/health.js';
import { type KvDeps, kvRoutes } from './routes/kv.js';
import { messagesRoute } from './routes/messages.js';
import { modelRoutes } from './routes/models.js';
import { pinRoutes } from './routes/pins.js';
import { purgeRoutes } from './routes/purges.js';
import { responsesRoute } from './routes/responses.js';
import { runtimeRoutes } from './routes/runtime.js';
import { serverInfoRoutes } from './routes/server-info.js';
import { storedResponseRoutes } from './routes/stored-responses.js';
import { tokenizeRoutes } from './routes/tokenize.js';
import { type HttpServer, listen } from './server.js';

/** Builds the HTTP server of a coordinator: the routes with everything they need. */

/** Log-probabilities that a coordinator holds for answers that were not taken yet. */
const COORDINATOR_LOGPROBS = 4 * ANSWER_LOGPROBS;
/** The text of `/metrics` is made at most once in this time. */
const METRICS_AGE_MS = 1_000;

/** @internal exported for tests. */
export interface HttpOptions extends HttpListenOptions {
  /** Version of this package. */
  readonly version: string;
  /** Whether a client may choose the worker. */
  readonly allowRouting: boolean;
  /** Disturbs processes of this machine; null if that is not allowed. */
  readonly chaos?: Chaos | null;
  /** Age up to which the text of `/metrics` is given to others, too. */
  readonly metricsAgeMs?: number;
  /** Limit on sequences accepted and not yet answered. */
  readonly maxRequests?: number;
  /** Limit on log-probabilities held for answers not yet delivered. */
  readonly maxLogprobs?: number;
}

export interface HttpDeps {
  readonly fleet: Fleet;
  readonly retentions: Retentions;
  readonly layers: Layers;
  readonly purges: Purges;
  /** Keys of the full blocks of a prompt. */
  readonly keysOf: (tokens: Uint32Array, salt: Salt | null) => readonly BlockKey[];
  readonly model: ServedModel;
  readonly adapters: AdapterCommands;
  readonly options: HttpOptions;
  readonly access: Access;
  readonly quotas: Quotas;
  readonly log: Log;
  readonly trail: Trail;
  /** The gauges of the fleet are added to its registry. */
  readonly metrics: CoordinatorMetrics;
  readonly clock: Clock;
  /** Null: nothing is recorded. */
  readonly tracer?: Tracer | null;
  /** The console's data besides the requests and the workers. */
  readonly console: ConsoleSources;
  /** Objects over HTTP; null if the fleet has none. */
  readonly kv?: KvDeps | null;
  /** Stored answers of the Responses API; null: none is stored. */
  readonly responses?: ResponseStore | null;
  /** K/V that the engine computed; null if it is not served. */
  readonly computed?: ComputedKvDeps | null;
  /** The runtime for users' code. */
  readonly runtime: RuntimeView;
  /** Source of ids, and of seeds where a request gives none. */
  readonly random?: Random;
}

/** The API of a fleet. */
interface ApiServer extends HttpServer {
  /** Forgets the answers that a group may still ask for again. Returns their number. */
  forgetAnswers(group: SaltGroup): number;
}

/** Serves the OpenAI-compatible API of a fleet. Resolves once listening; rejects with `Unavailable` if it cannot listen. */
export async function createHttpServer(deps: HttpDeps): Promise<ApiServer> {
  const { fleet, options, log, metrics, clock } = deps;
  watchFleet(metrics.registry, () => fleet.view());
  watchStore(metrics.registry, () => fleet.view().storeFault);
  watchRecommendation(metrics.registry, () => fleet.recommendation().wanted);
  const repeats = new Repeats(clock);
  const console = consoleOf(deps);
  const listening = listen(
    routesOf({ ...deps, fleet: console.fleet }, repeats, console).map((route) => metered(route, deps.quotas)),
    options,
    {
      access: deps.access,
      clock,
      log,
      trail: deps.trail,
      tracer: deps.tracer ?? null,
      onEnd: (route, status, durationMs) => {
        if (!route.generates) return;
        metrics.requests.total.add(1, { status: String(status) });
        metrics.requests.durationSeconds.observe(durationMs / 1_000);
      },
    },
  );
  try {
    const server = await listening;
    return {
      url: server.url,
      renewTls: (tls) => server.renewTls(tls),
      forgetAnswers: (group) => repeats.forget(group),
      close: () => {
        // Pages would stay until the end of the time that running answers have.
        console.feed.stop();
        return server.close().finally(() => repeats.close());
      },
    };
  } catch (error) {
    console.feed.stop();
    repeats.close();
    throw error;
  }
}

function consoleOf({ fleet, clock, options, model, console }: HttpDeps): Console {
  const about = { version: options.version, model: model.name, routing: options.allowRouting };
  const chaos = options.chaos != null;
  return openConsole({ fleet, clock, about: { ...about, chaos }, ...console });
}

function routesOf(deps: HttpDeps, repeats: Repeats, console: Console): HttpRoute[] {
  const { fleet, layers, retentions, model, options, metrics, clock, random } = deps;
  const prompts = new PromptReader(model, clock);
  const generation = {
    fleet,
    layers,
    marked: new MarkedPrompts(retentions, clock, deps.log),
    model,
    prompts,
    requestLimit: new RequestLimit(options.maxRequests ?? COORDINATOR_REQUESTS),
    logprobRoom: new LogprobRoom(options.maxLogprobs ?? COORDINATOR_LOGPROBS),
    ignoredNames: new IgnoredNames(deps.log),
    metrics: metrics.requests,
    adapterRequests: metrics.adapters,
    clock,
    random: random ?? new SystemRandom(),
    allowRouting: options.allowRouting,
  };
  const routes = [
    repeats.join(completionsRoute(generation)),
    repeats.join(chatRoute(generation)),
    responsesRoute(generation, deps.responses ?? null),
    ...storedResponseRoutes(deps.responses ?? null),
    messagesRoute(generation),
    countTokensRoute(model, prompts),
    ...modelRoutes(model),
    ...adapterRoutes(model, deps.adapters),
    ...tokenizeRoutes(model, prompts),
    ...serverInfoRoutes(model, options.version),
    ...cacheRoutes(fleet, layers, model, prompts),
    ...purgeRoutes({ purges: deps.purges, layers, prompts, keysOf: deps.keysOf }),
    ...pinRoutes({ retentions, layers, model, prompts }),
    ...(deps.kv ? kvRoutes(deps.kv) : []),
    ...(deps.computed ? computedKvRoutes({ ...deps.computed, layers, model, prompts }) : []),
    ...fleetRoutes(fleet, console.coarse, model.name),
    ...runtimeRoutes(deps.runtime),
    ...chaosRoutes(fleet, options.chaos ?? null, console.feed),
    ...consoleRoutes(console),
    ...consoleTableRoutes(console),
    ...healthRoutes(fleet, console.coarse, () => generation.requestLimit.admitted),
    ...debugRoutes(clock),
    ...aboutRoutes(options.version, metrics.registry, clock, options.metricsAgeMs ?? METRICS_AGE_MS),
  ];
  return [...routes, ...documentRoutes(routes, options.version)];
}
