import type { FeedMessage, HistoryAnswer } from '../../../src/console/feed-messages.js';
import { mayOperate } from '../../access/roles.js';
import { CONSOLE_POLICY, type ConsoleFiles } from '../../console/console-files.js';
import type { FleetFeed } from '../../console/fleet-feed.js';
import type { History } from '../../console/history.js';
import { HISTORY_STEP_MS } from '../../console/history.js';
import { ApiError } from '../../openai/api-error.js';
import { type Exchange, type HttpRoute, json, type RouteAnswer } from '../route.js';

/** `GET /` and `/assets/{name}`: the console; `GET /v1/fleet/events`: its live data; `GET /v1/fleet/history`: its plots. */

export interface ConsoleDeps {
  readonly files: ConsoleFiles;
  readonly feed: FleetFeed;
  readonly history: History;
  readonly now: () => number;
}

export function consoleRoutes({ files, feed, history, now }: ConsoleDeps): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/',
      about: { summary: 'The console: a page that shows the fleet, live.', answers: { 200: ['text/html'] } },
      access: 'open',
      pages: 'linked',
      handle: (exchange) => fileAnswer(files, 'index.html', exchange, 'no-cache'),
    },
    {
      method: 'GET',
      path: '/assets/:name',
      access: 'open',
      // Names have a hash of their content.
      handle: (exchange) =>
        fileAnswer(files, `assets/${exchange.params.name}`, exchange, 'public, max-age=31536000, immutable'),
    },
    {
      method: 'GET',
      path: '/v1/fleet/events',
      about: {
        summary: 'Changes of the fleet and steps of requests as server-sent events, for the console.',
        answers: { 200: ['text/event-stream'] },
      },
      access: 'key',
      handle: ({ principal, signal }) => {
        const operates = mayOperate(principal);
        const reader = operates
          ? { role: 'operator' as const, tenant: null }
          : { role: 'user' as const, tenant: principal?.tenant ?? null };
        return { kind: 'events', events: texts(feed.open(reader, signal), signal) };
      },
    },
    {
      method: 'GET',
      path: '/v1/fleet/history',
      about: { summary: 'The last hour of the fleet, a value every 2 s; with `?since=`, what came after that time.' },
      access: 'metrics',
      handle: ({ target }) => {
        const since = sinceIn(target);
        const answer: HistoryAnswer = {
          step_ms: HISTORY_STEP_MS,
          now: now(),
          ...history.since(since),
          happened: feed.happened.filter(({ at }) => at > since),
        };
        return json(answer);
      },
    },
  ];
}

/** Texts of messages. The pages share most messages, and so their texts. */
const TEXTS = new WeakMap<FeedMessage, string>();

async function* texts(
  feed: AsyncIterable<readonly FeedMessage[]>,
  signal: AbortSignal,
): AsyncGenerator<readonly string[], void> {
  for await (const messages of feed) yield messages.map(textOf);
  // The reader's key was taken back.
  if (signal.reason instanceof ApiError) throw signal.reason;
}

function textOf(message: FeedMessage): string {
  const known = TEXTS.get(message);
  if (known !== undefined) return known;
  const text = JSON.stringify(message);
  TEXTS.set(message, text);
  return text;
}

function fileAnswer(files: ConsoleFiles, name: string, { answerHeaders }: Exchange, caching: string): RouteAnswer {
  const file = files.get(name);
  if (file === undefined) {
    const message =
      files.size === 0 ? 'the console is not built; run "npm run build"' : `the console has no file '${name}'`;
    throw new ApiError(404, message, { code: 'unknown_url' });
  }
  answerHeaders({ 'content-security-policy': CONSOLE_POLICY, 'cache-control': caching });
  return { kind: 'text', contentType: file.contentType, text: file.text };
}

function sinceIn(target: string): number {
  const text = new URLSearchParams(target.split('?')[1] ?? '').get('since');
  const since = text === null ? 0 : Number(text);
  if (Number.isFinite(since)) return since;
  throw new ApiError(400, 'since: must be a number of milliseconds', { param: 'since' });
}
