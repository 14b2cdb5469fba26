import type {
  CopyCounts,
  FeedWorker,
  FleetMessage,
  Happening,
  HappeningKind,
} from '../../src/console/feed-messages.js';
import type { Member } from '../../src/core/member.js';
import type { FleetView } from '../fleet.js';

/** Compares two views of the fleet: the changed rows, and the events in a person's terms. Pure. */

/** The fleet at one moment. */
export interface FleetMoment {
  readonly view: FleetView;
  readonly copies: CopyCounts;
}

/** The whole fleet as a message. */
export function wholeFleet({ view, copies }: FleetMoment, at: number): FleetMessage {
  const { coordinators, replicas, natsConnected: nats, workers } = view;
  const rows = workers.map((worker) => rowOf(worker, view));
  return {
    type: 'fleet',
    at,
    whole: true,
    coordinators: coordinators.length,
    replicas,
    nats,
    copies,
    workers: rows,
    gone: [],
  };
}

/** The changes from one moment to a later one; null for none. */
export function fleetDelta(before: FleetMoment, after: FleetMoment, at: number): FleetMessage | null {
  const old = wholeFleet(before, at);
  const now = wholeFleet(after, at);
  const known = new Map(old.workers.map((worker) => [worker.id, worker]));
  const workers = now.workers.filter((worker) => !sameRow(known.get(worker.id), worker));
  const ids = new Set(now.workers.map(({ id }) => id));
  const gone = old.workers.map(({ id }) => id).filter((id) => !ids.has(id));
  const same =
    old.coordinators === now.coordinators &&
    old.replicas === now.replicas &&
    old.nats === now.nats &&
    old.copies.blocks === now.copies.blocks &&
    old.copies.below === now.copies.below;
  return same && workers.length === 0 && gone.length === 0 ? null : { ...now, whole: false, workers, gone };
}

/** The events between two moments, in order of workers. */
export function happenings(before: FleetMoment, after: FleetMoment, at: number): Happening[] {
  const old = new Map(before.view.workers.map((worker) => [worker.id, worker]));
  const now = new Map(after.view.workers.map((worker) => [worker.id, worker]));
  const found: Happening[] = [];
  const say = (kind: HappeningKind, worker: string | null = null) => found.push({ at, kind, worker });
  if (before.view.natsConnected !== after.view.natsConnected) say(after.view.natsConnected ? 'nats-back' : 'nats-lost');
  for (const [id, worker] of now) {
    const kind = kindOf(old.get(id), worker);
    if (kind !== null) say(kind, id);
    for (const from of damaging(old.get(id), worker)) found.push({ at, kind: 'damaged', worker: id, from });
    if (isQuarantined(worker, after.view) && !isQuarantined(old.get(id), before.view)) say('quarantined', id);
  }
  for (const [id, { state }] of old) if (!now.has(id) && state !== 'dead') say('left', id);
  if (before.copies.below === 0 && after.copies.below > 0 && lostWorker(before.view, after.view)) say('copies-short');
  if (before.copies.below > 0 && after.copies.below === 0) say('copies-restored');
  return found;
}

/** Short copies are news only after a loss: new blocks are always short for a moment. */
function lostWorker(before: FleetView, after: FleetView): boolean {
  const alive = ({ workers }: FleetView) => workers.filter(({ state }) => state !== 'dead').length;
  return alive(after) < alive(before);
}

function kindOf(before: Member | undefined, { state, incarnation }: Member): HappeningKind | null {
  if (before === undefined) return state === 'dead' ? null : 'joined';
  if (before.incarnation !== incarnation) return 'restarted';
  if (before.state === state || state === 'starting') return null;
  if (before.state === 'dead' && state === 'serving') return 'back';
  return state;
}

/** The workers of whose blocks a worker has refused more than before. What it had refused before this coordinator knew it is no news. */
function damaging(before: Member | undefined, { incarnation, damaged = [] }: Member): string[] {
  if (before === undefined) return [];
  const old = before.incarnation === incarnation ? (before.damaged ?? []) : [];
  const known = new Map(old.map(({ peer, blocks }) => [peer, blocks]));
  return damaged.filter(({ peer, blocks }) => blocks > (known.get(peer) ?? 0)).map(({ peer }) => peer);
}

function isQuarantined(worker: Member | undefined, { quarantined }: FleetView): boolean {
  return quarantined.some(({ maker }) => maker.id === worker?.id && maker.incarnation === worker.incarnation);
}

function rowOf(worker: Member, view: FleetView): FeedWorker {
  return {
    id: worker.id,
    state: worker.state,
    device: worker.device,
    quarantined: isQuarantined(worker, view),
    blocks: worker.blocks,
    bytes: worker.bytes.device + worker.bytes.host,
    budget: worker.budget.device + worker.budget.host,
    running: worker.running,
    waiting: worker.waiting,
    hit_rate: Math.round(worker.hitRate * 1_000) / 1_000,
    compute_ms_per_token: twoDigits(worker.rates.computeMsPerToken),
  };
}

/** A measurement that is always a little different would be sent all the time. */
function twoDigits(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(2));
}

function sameRow(before: FeedWorker | undefined, after: FeedWorker): boolean {
  return (
    before !== undefined && (Object.keys(after) as (keyof FeedWorker)[]).every((key) => before[key] === after[key])
  );
}
