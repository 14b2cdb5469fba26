import type { Happening, HappeningKind, TokensBySource } from '../../src/console/feed-messages.js';
import { disturbanceText } from '../chaos/disturbances.js';
import type { RequestTrace } from '../feed/request-trace.js';

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

/** Where the K/V of a prompt came from, as a sentence. */
export function sourceSentence(worker: string, cached: TokensBySource, source: string | null): string {
  const parts = [
    cached.local > 0 ? `found ${counted(cached.local, 'token')} in its own memory` : null,
    cached.remote > 0 ? `fetched ${counted(cached.remote, 'token')} from ${source ?? 'another worker'}` : null,
    cached.computed > 0 ? `computed ${counted(cached.computed, 'token')}` : null,
  ].filter((part) => part !== null);
  const last = parts.pop();
  return `${worker} ${parts.length === 0 ? last : `${parts.join(', ')} and ${last}`}.`;
}

/** The worker that sent the remote blocks of a request: by the account of the receiver, or, until that has come, the one that is asked first. */
export function sourceOf({ placements, started, found }: RequestTrace): string | null {
  const told = found?.worker === started?.worker ? found?.from[0]?.worker : undefined;
  if (told !== undefined) return told;
  return placements.at(-1)?.sources.find((id) => id !== started?.worker) ?? null;
}

/** The stage of a request, in one word. */
export function stageOf({ ended, firstAt, started, placements }: RequestTrace): string {
  if (ended !== null) return ended.outcome;
  if (firstAt !== null) return 'streaming';
  if (started !== null) return 'computing';
  return placements.length > 0 ? 'placed' : 'waiting';
}
