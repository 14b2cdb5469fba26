import type { Happening, HappeningKind, SentBlocks, TokensBySource } from '../../src/console/feed-messages.js';
import { disturbanceText } from '../chaos/disturbances.js';
import { type RequestAttempt, type RequestTrace, workerOfAttempt } from '../feed/request-trace.js';

/** Numbers and events in words. Pure. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Such as `1.5 MiB`: three digits at most. */
export function byteText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')} ${UNITS[unit]}`;
}

export function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.round((100 * part) / whole)} %`;
}

/** Such as `31 ms` or `1.2 s`. */
export function timeText(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1).replace(/\.0$/, '')} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** How long ago something was. */
export function agoText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

/** The time of day, to the second. */
export function clockText(wallMs: number): string {
  return new Date(wallMs).toLocaleTimeString('en-GB');
}

/** `1 block`, `2 blocks`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

/** The event, as a sentence without a full stop. */
export function happeningText(happening: Happening): string {
  const { kind, worker, from } = happening;
  switch (kind) {
    case 'joined':
      return `${worker} joined`;
    case 'restarted':
      return `${worker} came back as a new process`;
    case 'serving':
      return `${worker} serves`;
    case 'draining':
      return `${worker} drains: it hands over its blocks and takes no new requests`;
    case 'suspect':
      return `${worker} is suspect: it does not answer`;
    case 'dead':
      return `${worker} is dead: its requests continue on other workers`;
    case 'left':
      return `${worker} left`;
    case 'back':
      return `${worker} is back: the same process, with its blocks`;
    case 'damaged':
      return `${worker} refused blocks of ${from}: their bytes did not match their digest`;
    case 'disturbed':
      return disturbanceText(happening);
    case 'quarantined':
      return `${worker} is quarantined: it made wrong blocks`;
    case 'copies-short':
      return 'blocks lost a copy: other workers copy them again';
    case 'copies-restored':
      return 'all blocks have their copies again';
    case 'nats-lost':
      return 'NATS is lost: direct connections continue';
    case 'nats-back':
      return 'NATS is back';
    default:
      // Of a newer coordinator.
      return [worker, kind].filter(Boolean).join(': ');
  }
}

const TROUBLE: ReadonlySet<HappeningKind> = new Set([
  'suspect',
  'dead',
  'quarantined',
  'damaged',
  'disturbed',
  'copies-short',
  'nats-lost',
]);

/** Whether people should look at it. */
export function isTrouble({ kind }: Happening): boolean {
  return TROUBLE.has(kind);
}

/** Where the K/V of a prompt came from, as a sentence. @param attempt the worker's account of it; null if there is none */
export function sourceSentence(worker: string, cached: TokensBySource, attempt: RequestAttempt | null): string {
  const parts = [
    cached.local > 0 ? `found ${counted(cached.local, 'token')} in its own memory` : null,
    cached.remote > 0 ? remoteText(counted(cached.remote, 'token'), attempt) : null,
    cached.computed > 0 ? `computed ${counted(cached.computed, 'token')}` : null,
  ].filter((part) => part !== null);
  const last = parts.pop();
  return `${worker} ${parts.length === 0 ? last : `${parts.join(', ')} and ${last}`}.`;
}

/** The blocks that came from other workers; empty until the worker has told who sent them. */
export function sendersOf({ found }: Pick<RequestAttempt, 'found'>): readonly SentBlocks[] {
  return found?.from ?? [];
}

/** How tokens came from other workers: only what the receiver has told. */
function remoteText(tokens: string, attempt: RequestAttempt | null): string {
  const senders = attempt === null ? [] : sendersOf(attempt);
  const names = senders.map(({ worker }) => worker).join(' and ');
  if (senders.length === 0) return `got ${tokens} from another worker`;
  if (senders.every(({ copied }) => copied === 0)) return `fetched ${tokens} from ${names}`;
  if (senders.every(({ blocks, copied }) => copied === blocks)) return `had ${tokens} in copies from ${names}`;
  return `got ${tokens} from ${names}, some of them in copies`;
}

/** The only worker from which an attempt fetched blocks, so far as it has told; null if it fetched none or from several. */
export function fetchedFrom(attempt: RequestAttempt): string | null {
  const fetched = sendersOf(attempt).filter(({ blocks, copied }) => blocks > copied);
  return fetched.length === 1 ? fetched[0]!.worker : null;
}

/**
 * Why an attempt found nothing; null if it found something or has not begun. A worker may have meant to fetch blocks, and have seen that computing is
 * faster. @param happened newest first
 */
export function missText(attempt: RequestAttempt, happened: readonly Happening[]): string | null {
  const { placed, started } = attempt;
  if (started === null || started.cached.local + started.cached.remote > 0) return null;
  const chosen = placed?.candidates.find(({ worker }) => worker === workerOfAttempt(attempt));
  if (chosen === undefined) return 'This page does not know why.';
  const expected = chosen.local + chosen.remote;
  if (expected === 0) return 'No worker had a block of this prompt.';
  const from = refusedFrom(attempt, happened);
  return from === null
    ? `${counted(expected, 'block')} could have been had, but computing was faster, or they were gone or came too slowly.`
    : `${counted(expected, 'block')} could have been had, but ${workerOfAttempt(attempt)} refused blocks of ${from} at that time: their bytes did not match their digest.`;
}

/** Refusals of one worker's blocks by another are told once in this time, and some time after the fact. */
const [REFUSALS_MS, TOLD_LATE_MS] = [10_000, 5_000];

/** The worker whose blocks an attempt refused, so far as can be told: it was asked for its blocks, and some were refused about that time. */
export function refusedFrom(
  { placed, started }: Pick<RequestAttempt, 'placed' | 'started'>,
  happened: readonly Happening[],
): string | null {
  if (placed === null || started === null) return null;
  const refusal = happened.find(
    ({ kind, worker, from, at }) =>
      kind === 'damaged' &&
      worker === started.worker &&
      placed.sources.includes(from ?? '') &&
      at > placed.at - REFUSALS_MS &&
      at < started.at + TOLD_LATE_MS,
  );
  return refusal?.from ?? null;
}

/** The stage of a request, in one word. */
export function stageOf({ ended, attempts }: RequestTrace): string {
  if (ended !== null) return ended.outcome;
  const last = attempts.at(-1);
  if (last === undefined) return 'waiting';
  if (last.firstAt !== null) return 'streaming';
  return last.started !== null ? 'computing' : 'placed';
}

/** The name of a request on the page. Its number is random and long; a few digits tell the latest ones apart. */
export function requestName(id: number): string {
  return `#${id.toString(16).padStart(6, '0').slice(-6)}`;
}
