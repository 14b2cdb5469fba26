import type {
  BlockFlow,
  CopyCounts,
  FeedMessage,
  FeedSegment,
  FeedWorker,
  FleetMessage,
  Happening,
  HelloMessage,
} from '../../src/console/feed-messages.js';
import { type RequestTrace, withStep } from './request-trace.js';

/** The page's model of the fleet. A pure reducer makes the next state from the last state and a message. */

/** Requests that the page remembers. @internal exported for tests. */
export const TRACES = 4_000;
/** How far back the page can replay. */
export const REPLAY_MS = 60_000;
/** Limit on the events that the page keeps. @internal exported for tests. */
export const HAPPENINGS = 256;
/** Flows of blocks that the page remembers for its replay. @internal exported for tests. */
export const FLOWS = 2_000;
/** States of workers that the page remembers for its replay. @internal exported for tests. */
export const SNAPSHOTS = 600;

export interface FleetModel {
  readonly hello: HelloMessage | null;
  /** By id, in order of ids. */
  readonly workers: ReadonlyMap<string, FeedWorker>;
  readonly coordinators: number;
  readonly replicas: number;
  readonly nats: boolean;
  readonly copies: CopyCounts;
  /** The hottest segments, by id. Empty for a user. */
  readonly segments: ReadonlyMap<string, FeedSegment>;
  /** Blocks that went from worker to worker, oldest first. Empty for a user. */
  readonly flows: readonly TimedFlow[];
  /** Oldest first. */
  readonly traces: ReadonlyMap<number, RequestTrace>;
  readonly skipped: number;
  /** Newest first. */
  readonly happened: readonly Happening[];
  /** Workers as they were from a time on, oldest first. */
  readonly snapshots: readonly FleetSnapshot[];
  /** The coordinator's clock at the last message. */
  readonly at: number;
}

/** Blocks that went from one worker to another, and when the coordinator told of them. */
export interface TimedFlow extends BlockFlow {
  readonly at: number;
}

interface FleetSnapshot {
  readonly at: number;
  readonly workers: readonly FeedWorker[];
}

export const EMPTY_MODEL: FleetModel = {
  hello: null,
  workers: new Map(),
  coordinators: 0,
  replicas: 0,
  nats: true,
  copies: { blocks: 0, below: 0 },
  segments: new Map(),
  flows: [],
  traces: new Map(),
  skipped: 0,
  happened: [],
  snapshots: [],
  at: 0,
};

/** The state after a message. */
export function reduce(model: FleetModel, message: FeedMessage): FleetModel {
  switch (message.type) {
    case 'hello':
      return begun(model, message);
    case 'fleet':
      return withFleet(model, message);
    case 'steps': {
      const traces = new Map(model.traces);
      for (const step of message.steps) {
        // Of a request that the page has forgotten, what it found is no news.
        if (step.step !== 'found' || traces.has(step.id)) traces.set(step.id, withStep(traces.get(step.id), step));
      }
      for (const id of traces.keys()) {
        if (traces.size <= TRACES) break;
        traces.delete(id);
      }
      const at = message.steps.at(-1)?.at ?? model.at;
      return { ...model, traces, skipped: model.skipped + message.skipped, at: Math.max(at, model.at) };
    }
    case 'segments': {
      const segments = new Map(message.whole ? [] : model.segments);
      for (const segment of message.segments) segments.set(segment.id, segment);
      for (const id of message.gone) segments.delete(id);
      return { ...model, segments, at: message.at };
    }
    case 'flows': {
      const recent = model.flows.filter(({ at }) => at > message.at - 2 * REPLAY_MS);
      const flows = [...recent, ...message.flows.map((flow) => ({ ...flow, at: message.at }))].slice(-FLOWS);
      return { ...model, flows, at: message.at };
    }
    case 'happened':
      return {
        ...model,
        at: message.happening.at,
        happened: [message.happening, ...model.happened].slice(0, HAPPENINGS),
      };
    case 'beat':
      return { ...model, at: message.at };
    default:
      // A newer coordinator may tell more than this page knows.
      return model;
  }
}

/**
 * The state at the beginning of a connection. Of the one before, the last minute stays for the replay, without the requests whose end the page may
 * have missed; the fleet stays as it was until the new connection tells of it.
 */
function begun(model: FleetModel, hello: HelloMessage): FleetModel {
  // The clock of another coordinator may be behind.
  const isPast = ({ at }: { readonly at: number }) => at <= hello.at && at > hello.at - 2 * REPLAY_MS;
  const ended = [...model.traces].filter(([, trace]) => trace.ended !== null && isPast(trace));
  return {
    ...model,
    hello,
    ...{ at: hello.at, skipped: 0, segments: new Map(), traces: new Map(ended), happened: hello.happened.toReversed() },
    ...{ flows: model.flows.filter(isPast), snapshots: model.snapshots.filter(isPast) },
  };
}

/** The workers as they were at a time; the present ones if the page does not remember that long. */
export function workersAt({ snapshots, workers }: FleetModel, at: number): readonly FeedWorker[] {
  return snapshots.findLast((snapshot) => snapshot.at <= at)?.workers ?? [...workers.values()];
}

function withFleet(model: FleetModel, message: FleetMessage): FleetModel {
  const merged = new Map(message.whole ? [] : model.workers);
  for (const worker of message.workers) merged.set(worker.id, worker);
  for (const id of message.gone) merged.delete(id);
  const workers = new Map([...merged].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })));
  const { coordinators, replicas, nats, copies, at } = message;
  const snapshot = { at, workers: [...workers.values()] };
  const kept = model.snapshots.filter((_, index) => {
    const next = model.snapshots[index + 1]?.at ?? at;
    return next > at - 2 * REPLAY_MS;
  });
  const snapshots = [...kept, snapshot].slice(-SNAPSHOTS);
  return { ...model, workers, coordinators, replicas, nats, copies, snapshots, at };
}
