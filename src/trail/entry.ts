import { z } from 'zod';

/** The entries of the audit log (`--audit-log`), one JSON object a line; they never contain a prompt, an answer or a key. */

const Id = z.string().max(256);

/** A caller's request, and its result. */
const RequestEntry = z.object({
  event: z.literal('request'),
  request_id: Id,
  /** Null where the caller is not known, or no key is needed. */
  tenant: Id.nullable(),
  /** Id of the key, or the subject of the token. */
  key: Id.nullable(),
  role: Id.nullable(),
  address: Id.nullable(),
  method: Id,
  /** Pattern of the path; null for a path without a route. */
  route: Id.nullable(),
  /** Name of the worker, pin or purge in the path. */
  target: Id.nullable(),
  /** `refused`: the caller may not do it, or not now. `failed`: it was allowed and did not succeed. */
  decision: z.enum(['allowed', 'refused', 'failed']),
  status: z.int(),
  /** Code of the error. */
  code: Id.nullable(),
  /** Tokens of prompts and answers; null for a request without any. */
  tokens: z.object({ prompt: z.int(), cached: z.int(), generated: z.int() }).nullable(),
  duration_ms: z.number(),
});

/** Requests of a key, or without a known one, were refused so fast that they have no separate entries. */
const FloodEntry = z.object({
  event: z.literal('refused_without_entry'),
  tenant: Id.nullable().default(null),
  key: Id.nullable().default(null),
  count: z.int(),
});
/** Entries that could not be written. */
const LostEntry = z.object({ event: z.literal('entries_lost'), count: z.int() });
const WorkerQuarantined = z.object({ event: z.literal('worker_quarantined'), worker: Id, by: z.array(Id) });
/** A prompt that crashes workers is refused from now on. */
const PromptQuarantined = z.object({ event: z.literal('prompt_quarantined') });
const PurgeComplete = z.object({
  event: z.literal('purge_complete'),
  purge: Id,
  tenant: Id.nullable(),
  blocks: z.int(),
});

const AdapterLoaded = z.object({ event: z.literal('adapter_loaded'), adapter: Id, fingerprint: Id });
const AdapterUnloaded = z.object({ event: z.literal('adapter_unloaded'), adapter: Id });

export const TrailEvent = z.discriminatedUnion('event', [
  RequestEntry,
  FloodEntry,
  LostEntry,
  WorkerQuarantined,
  PromptQuarantined,
  PurgeComplete,
  AdapterLoaded,
  AdapterUnloaded,
]);
export type TrailEvent = z.infer<typeof TrailEvent>;
export type RequestEntry = z.infer<typeof RequestEntry>;

/** When and where it happened. */
const Stamp = z.object({ time: z.iso.datetime(), coordinator: Id });
export type TrailEntry = TrailEvent & z.infer<typeof Stamp>;

/** The file beside the log's own for what users were allowed to ask for. */
export function requestsFile(path: string): string {
  return `${path}.requests`;
}

/** The file beside the log's own for what was refused. */
export function refusedFile(path: string): string {
  return `${path}.refused`;
}

/** An entry from a line; null for a line that is none. */
export function readEntry(line: string): TrailEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const [stamp, event] = [Stamp.safeParse(value), TrailEvent.safeParse(value)];
  return stamp.success && event.success ? { ...stamp.data, ...event.data } : null;
}
