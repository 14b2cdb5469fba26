import type { Clock, Timer } from '../../src/clock.js';
import type {
  Disturbance,
  FeedMessage,
  FeedSegment,
  Happening,
  HelloMessage,
  RequestStep,
} from '../../src/console/feed-messages.js';
import { Overloaded } from '../../src/errors.js';
import type { FleetView } from '../fleet.js';
import type { CoarseView } from './coarse-view.js';
import type { DisturbanceNews, OrderedFault } from './disturbance-news.js';
import { FeedClient } from './feed-client.js';
import { type FleetMoment, fleetDelta, happenings, wholeFleet } from './fleet-changes.js';
import { Flows } from './flows.js';
import { HISTORY_STEP_MS, type History } from './history.js';
import type { RequestJournal, TenantStep } from './request-journal.js';
import { type SegmentHeat, segmentChanges } from './segment-heat.js';
import type { WorkerActivities } from './worker-activities.js';

/** Feeds the pages of the console: looks at the fleet a few times a second, and sends each page what has changed. */

/** Pages that one coordinator feeds at a time. @internal exported for tests. */
export const FEED_CLIENTS = 32;
/** Those of them that only operators may take. @internal exported for tests. */
export const FEED_RESERVE = 8;
/** Those that one tenant may take. @internal exported for tests. */
export const FEED_TENANT_CLIENTS = 8;
/** How often the feed looks at the fleet, and sends what has gathered: the ring is drawn 0.4 s behind. @internal exported for tests. */
export const FEED_INTERVAL_MS = 200;
const BEAT_INTERVAL_MS = 1_000;
/** How often workers are asked what they have done while a page is open; otherwise once in a step of the history. @internal exported for tests. */
export const ACTIVITY_INTERVAL_MS = 500;
/** Limit on the recent events, which are kept for pages that open later. */
const HAPPENINGS = 256;
/** Time after which damaged blocks, of the same worker and refused by the same worker, are told of again. @internal exported for tests. */
export const DAMAGE_PAUSE_MS = 10_000;

export interface FleetFeedOptions {
  readonly clock: Clock;
  readonly view: () => FleetView;
  /** What users see of it. */
  readonly coarse: CoarseView;
  /** The number of blocks with a holder, and of blocks with fewer holders than wanted. */
  readonly countBlocks: (holders: number) => { readonly blocks: number; readonly below: number };
  /** The number of blocks of a worker by the same count; null while it is unknown. */
  readonly blocksOf: (worker: string) => number | null;
  readonly heat: Pick<SegmentHeat, 'list'>;
  readonly activities: Pick<WorkerActivities, 'round'>;
  readonly journal: RequestJournal;
  readonly history: History;
  readonly disturbances: Pick<DisturbanceNews, 'tell' | 'listen'>;
  readonly about: Pick<HelloMessage, 'version' | 'routing' | 'chaos'> & { readonly model: string };
}

/** The owner of the page: a tenant, or an operator (null), who sees all requests. */
export interface FeedReader {
  readonly role: HelloMessage['role'];
  readonly tenant: string | null;
}

export class FleetFeed {
  private readonly clients = new Set<FeedClient>();
  private readonly recent: Happening[] = [];
  private readonly timers: Timer[] = [];
  private steps: TenantStep[] = [];
  private skipped = new Map<string | null, number>();
  private readonly flows = new Flows();
  /** The segments that pages know. */
  private segments: readonly FeedSegment[] = [];
  private last: FleetMoment;
  /** The same moment, as users see it. */
  private lastCoarse: FleetMoment;
  /** Whether blocks lack copies after a loss. */
  private short = false;

  /** When it was told last that one worker refused blocks of another. */
  private readonly damagesTold = new Map<string, number>();

  constructor(private readonly options: FleetFeedOptions) {
    this.last = this.look();
    this.lastCoarse = this.coarse(this.last);
    options.disturbances.listen((fault, agoMs) => this.ordered(fault, agoMs));
  }

  start(): void {
    const { clock } = this.options;
    this.timers.push(
      clock.every(FEED_INTERVAL_MS, () => this.pulse()),
      clock.every(BEAT_INTERVAL_MS, () => this.beat()),
      clock.every(HISTORY_STEP_MS, () => this.endStep()),
      clock.every(ACTIVITY_INTERVAL_MS, () => {
        if (this.clients.size > 0) this.ask();
      }),
    );
  }

  /** Ends all feeds. */
  stop(): void {
    for (const timer of this.timers) timer.cancel();
    for (const client of this.clients) client.end();
  }

  /** Recent events, oldest first. */
  get happened(): readonly Happening[] {
    return this.recent;
  }

  /** An operator disturbs the fleet: some faults show nowhere else, if no block moves meanwhile. The other coordinators are told. */
  disturbed(fault: Disturbance, worker: string | null, seconds?: number): void {
    const ordered = { fault, worker, seconds: seconds ?? null };
    this.ordered(ordered, 0);
    this.options.disturbances.tell(ordered);
  }

  private ordered({ fault, worker, seconds }: OrderedFault, agoMs: number): void {
    // The first block that is refused after each order is news.
    if (fault === 'corrupt')
      for (const pair of this.damagesTold.keys()) if (pair.endsWith(` ${worker}`)) this.damagesTold.delete(pair);
    const at = this.options.clock.now() - agoMs;
    this.happen({ at, kind: 'disturbed', worker, fault, ...(seconds !== null && { seconds }) });
  }

  /** The messages for one page, until `signal` aborts, the feed stops or the page reads too slowly. @throws Overloaded if there are too many pages */
  open(reader: FeedReader, signal: AbortSignal): AsyncIterable<readonly FeedMessage[]> {
    this.checkRoom(reader.tenant);
    const { about, clock, journal } = this.options;
    const at = clock.now();
    const client = new FeedClient(reader.tenant, () => this.forget(client));
    client.push({ type: 'hello', at, ...about, role: reader.role, happened: [...this.recent] });
    client.push(wholeFleet(reader.tenant === null ? this.last : this.lastCoarse, at));
    if (this.clients.size === 0) this.segments = this.options.heat.list();
    if (reader.role === 'operator')
      client.push({ type: 'segments', at, whole: true, segments: this.segments, gone: [] });
    if (this.clients.size === 0) journal.watch({ step: (step) => this.steps.push(step), skipped: (t) => this.skip(t) });
    // The others get what has gathered first: the new page has it among the steps so far.
    this.sendSteps();
    const running = journal.running().filter(({ tenant }) => client.mayRead(tenant));
    if (running.length > 0) client.push({ type: 'steps', steps: running.map(({ step }) => step), skipped: 0 });
    this.clients.add(client);
    signal.addEventListener('abort', () => client.end(), { once: true });
    if (signal.aborted) client.end();
    return client;
  }

  private checkRoom(tenant: string | null): void {
    const limit = tenant === null ? FEED_CLIENTS : FEED_CLIENTS - FEED_RESERVE;
    const own = tenant === null ? [] : [...this.clients].filter((client) => client.tenant === tenant);
    if (this.clients.size < limit && own.length < FEED_TENANT_CLIENTS) return;
    const full = own.length >= FEED_TENANT_CLIENTS ? `${own.length} of your pages` : `${this.clients.size} pages`;
    throw new Overloaded(`${full} of the console are open on this coordinator; close one`);
  }

  private forget(client: FeedClient): void {
    this.clients.delete(client);
    if (this.clients.size > 0) return;
    this.options.journal.watch(null);
    this.steps = [];
    this.skipped.clear();
    this.flows.take();
  }

  private skip(tenant: string | null): void {
    this.skipped.set(tenant, (this.skipped.get(tenant) ?? 0) + 1);
  }

  private look(): FleetMoment {
    const told = this.options.view();
    // Workers tell how many blocks they have when their load changes: that would contradict the copies, which follow each block.
    const workers = told.workers.map((worker) => ({
      ...worker,
      blocks: this.options.blocksOf(worker.id) ?? worker.blocks,
    }));
    const view = { ...told, workers };
    const serving = view.workers.filter(({ state }) => state === 'serving').length;
    const { blocks, below } = this.options.countBlocks(Math.min(view.replicas, serving));
    return { view, copies: { blocks, below } };
  }

  private coarse({ view, copies }: FleetMoment): FleetMoment {
    const { coarse } = this.options;
    return { view: coarse.of(view), copies: coarse.copies(copies) };
  }

  private pulse(): void {
    const at = this.options.clock.now();
    const now = this.look();
    const before = this.last;
    this.last = now;
    const [coarse, coarseBefore] = [this.coarse(now), this.lastCoarse];
    this.lastCoarse = coarse;
    for (const happening of happenings(before, now, at)) this.happen(happening);
    if (this.clients.size === 0) return;
    const pages = [...this.clients];
    // Comparing costs time, and often only one kind of page is open.
    if (pages.some(({ tenant }) => tenant === null))
      this.send(fleetDelta(before, now, at), ({ tenant }) => tenant === null);
    if (pages.some(({ tenant }) => tenant !== null))
      this.send(fleetDelta(coarseBefore, coarse, at), ({ tenant }) => tenant !== null);
    this.sendSteps();
    this.sendFlows(at);
  }

  private beat(): void {
    const at = this.options.clock.now();
    this.send({ type: 'beat', at });
    if (this.clients.size === 0) return;
    const now = this.options.heat.list();
    const changes = segmentChanges(this.segments, now);
    this.segments = now;
    if (changes !== null) this.tellOperators({ type: 'segments', at, whole: false, ...changes });
  }

  private ask(): void {
    this.options.activities.round((news) => {
      this.options.history.active(news);
      this.options.journal.found(news);
      if (this.clients.size > 0) this.flows.add(news);
    });
  }

  private sendFlows(at: number): void {
    const flows = this.flows.take();
    if (flows.length > 0) this.tellOperators({ type: 'flows', at, flows });
  }

  private happen(happening: Happening): void {
    const { kind } = happening;
    if (kind === 'copies-restored' && !this.short) return;
    if (kind === 'copies-short') this.short = true;
    if (kind === 'copies-restored') this.short = false;
    if (kind === 'damaged' && !this.isNews(happening)) return;
    this.recent.push(happening);
    if (this.recent.length > HAPPENINGS) this.recent.shift();
    this.send({ type: 'happened', happening });
  }

  /** Damaged blocks come many at a time. */
  private isNews({ at, worker, from }: Happening): boolean {
    for (const [pair, toldMs] of this.damagesTold) if (at - toldMs >= DAMAGE_PAUSE_MS) this.damagesTold.delete(pair);
    const pair = `${worker} ${from}`;
    if (this.damagesTold.has(pair)) return false;
    this.damagesTold.set(pair, at);
    return true;
  }

  private sendSteps(): void {
    const { steps, skipped } = this;
    if (steps.length === 0 && skipped.size === 0) return;
    this.steps = [];
    this.skipped = new Map();
    // One message for all pages of a tenant, or of operators: its text is made once.
    const messages = new Map<string | null, FeedMessage>();
    for (const client of this.clients) {
      const known = messages.get(client.tenant);
      if (known !== undefined) {
        client.push(known);
        continue;
      }
      const own = steps.filter(({ tenant }) => client.mayRead(tenant)).map(({ step }): RequestStep => step);
      const missed = [...skipped].reduce((sum, [tenant, count]) => sum + (client.mayRead(tenant) ? count : 0), 0);
      if (own.length === 0 && missed === 0) continue;
      const message: FeedMessage = { type: 'steps', steps: own, skipped: missed };
      messages.set(client.tenant, message);
      client.push(message);
    }
  }

  private endStep(): void {
    if (this.clients.size === 0) this.ask();
    const { view, copies } = this.last;
    const alive = view.workers.filter(({ state }) => state !== 'dead');
    const sum = (of: (worker: (typeof alive)[number]) => number) => alive.reduce((total, each) => total + of(each), 0);
    this.options.history.endStep(this.options.clock.now(), {
      running: sum(({ running }) => running),
      waiting: sum(({ waiting }) => waiting),
      serving: alive.filter(({ state }) => state === 'serving').length,
      blocks: copies.blocks,
      below: copies.below,
      bytes: sum(({ bytes }) => bytes.device + bytes.host),
    });
  }

  /** Where blocks are and go says something of all tenants. */
  private tellOperators(message: FeedMessage): void {
    this.send(message, ({ tenant }) => tenant === null);
  }

  private send(message: FeedMessage | null, isFor: (client: FeedClient) => boolean = () => true): void {
    if (message === null) return;
    for (const client of this.clients) if (isFor(client)) client.push(message);
  }
}
