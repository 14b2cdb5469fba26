import type { RouteKind } from '../src/actors/route.js';
import type { BlockKey } from '../src/core/block.js';
import type { DamagedCount } from '../src/core/member.js';
import type { Accused } from '../src/core/tribunal.js';
import type { DeviceCopies } from '../src/device/device.js';
import type { EngineStats } from '../src/engine/engine.js';
import type { EndedSequence, EngineObserver, SequenceOutcome } from '../src/engine/observer.js';
import { DAMAGING_PEERS } from '../src/limits.js';
import { type FleetCounts, watchFleet, watchQuarantine } from '../src/metrics/fleet-metrics.js';
import { MetricsRegistry } from '../src/metrics/registry.js';
import { type MetricsServer, type MetricsServerOptions, startMetricsServer } from '../src/metrics/server.js';
import { WorkerMetrics } from '../src/metrics/worker-metrics.js';
import type { DamagedBlock, PeerObserver } from '../src/peer/observer.js';
import type { AuditOutcome } from './audit/auditor.js';
import type { BlockStore } from './cache/block-store.js';
import { WorkerTally } from './worker-tally.js';

const SOURCES = ['local', 'remote', 'computed'] as const;
const DIRECTIONS = ['h2d', 'd2h', 'd2d'] as const;
const STATUS = { done: '200', cancelled: '499', failed: '500' } as const;

/** Receives the events to log. */
export interface InstrumentsOwner {
  /** The cache did not accept a computed block. */
  blockNotKept(error: unknown, requestId: string): void;
  /** A request ended on this worker. */
  ran(outcome: SequenceOutcome, ms: number, ended: EndedSequence): void;
  /** A block had the wrong bytes. */
  damaged(block: DamagedBlock | { readonly stage: 'disk'; readonly peer: null; readonly block: BlockKey }): void;
}

/** Collects a worker's metrics from the events and counters of its parts, and serves them. */
export class Instruments {
  /** For the coordinators' history. */
  readonly tally = new WorkerTally();
  private readonly metrics = new WorkerMetrics(new MetricsRegistry());
  private server: MetricsServer | null = null;
  private copied: DeviceCopies = { h2d: 0, d2h: 0, d2d: 0 };
  private counted = { local: 0, remote: 0, computed: 0, generated: 0 };
  private sampled = false;

  readonly engine: EngineObserver = {
    onQueue: (ms) => {
      this.metrics.requests.queueSeconds.observe(ms / 1000);
      this.loadChanged();
    },
    onFirstToken: (ms) => this.metrics.requests.firstTokenSeconds.observe(ms / 1000),
    onInterToken: (ms) => this.metrics.requests.interTokenSeconds.observe(ms / 1000),
    onGuessed: (guessed, right) => {
      this.metrics.guessedTokens.add(right, { outcome: 'right' });
      this.metrics.guessedTokens.add(guessed - right, { outcome: 'wrong' });
    },
    onEnd: (outcome, ms, ended) => {
      this.on.ran(outcome, ms, ended);
      this.metrics.requests.durationSeconds.observe(ms / 1000);
      this.metrics.requests.total.add(1, { status: STATUS[outcome] });
      this.loadChanged();
    },
    onOfferFailed: (error, requestId) => this.on.blockNotKept(error, requestId),
  };

  readonly peers: PeerObserver = {
    onFetch: (bytes, ms, direction) => {
      this.metrics.fetchBytes.add(bytes, { direction });
      if (direction === 'in') this.metrics.fetchSeconds.observe(ms / 1000);
    },
    onFailure: (reason) => this.metrics.fetchFailures.add(1, { reason }),
    onIntegrityFailure: (damaged) => {
      this.metrics.integrityFailures.fromPeer(damaged.stage, damaged.peer);
      this.on.damaged(damaged);
      this.tally.refused();
      this.countDamaged(damaged.peer);
    },
  };

  /** Blocks with wrong bytes by the peer that sent them. */
  private readonly damaged = new Map<string, number>();

  private readonly loadListeners: (() => void)[] = [];

  /** @param ofProcess whether the metrics of the process are among them */
  constructor(
    private readonly on: InstrumentsOwner,
    private readonly ofProcess = true,
  ) {}

  /** The blocks with wrong bytes by the peer that sent them, for the first `DAMAGING_PEERS` of these peers. */
  get damagedByPeer(): readonly DamagedCount[] {
    return [...this.damaged].map(([peer, blocks]) => ({ peer, blocks }));
  }

  /** For parts with their own metrics. */
  get registry(): MetricsRegistry {
    return this.metrics.registry;
  }

  /** Registers a listener that is called after a request begins to run or ends. */
  onLoad(listener: () => void): void {
    this.loadListeners.push(listener);
  }

  /** Sets the numbers of copies that wait to be made, and of blocks with fewer copies than required. */
  lag(waitingCopies: number, lackingBlocks: number): void {
    this.metrics.replicationLagBlocks.set(waitingCopies);
    this.metrics.underReplicatedBlocks.set(lackingBlocks);
  }

  /** Sets the number of copies that other homes have no room for. */
  noRoom(copies: number): void {
    this.metrics.replicationNoRoomBlocks.set(copies);
  }

  /** Counts damaged blocks of this peer under its ID from now on. */
  peerJoined(id: string): void {
    this.metrics.integrityFailures.joined(id);
  }

  /** Counts a damaged file of the disk tier. */
  damagedFile(block: BlockKey): void {
    this.tally.refused();
    this.metrics.integrityFailures.fromDisk();
    this.on.damaged({ stage: 'disk', peer: null, block });
  }

  /** A call of this worker set out on this route. */
  called(path: RouteKind): void {
    this.metrics.calls.add(1, { path });
  }

  /** An audit ended, or was not made. */
  audited(outcome: AuditOutcome): void {
    this.tally.audited(outcome);
    this.metrics.audits.add(1, { outcome });
  }

  /** Blocks were dropped because they are wrong, or stand on a wrong one. */
  wrongBlocks(blocks: number): void {
    this.metrics.wrongBlocks.add(blocks);
  }

  /** Connects the gauge of the makers of wrong blocks. Call once. */
  watchAudit(accused: () => readonly Accused[]): void {
    watchQuarantine(this.metrics.registry, accused);
  }

  moved(blocks: number): void {
    this.metrics.rebalancedBlocks.add(blocks);
  }

  /** Updates the metrics from the current counters of engine and device. */
  sample({ running, waiting, promptTokens, generatedTokens }: EngineStats, copies: DeviceCopies): void {
    const { requests } = this.metrics;
    requests.running.set(running);
    requests.waiting.set(waiting);
    const { counted, copied, sampled } = this;
    // The first sample makes the series; later ones, of which most find no change, cost little.
    for (const source of SOURCES) {
      const more = promptTokens[source] - counted[source];
      if (more > 0 || !sampled) requests.promptTokens.add(more, { source });
    }
    requests.generatedTokens.add(generatedTokens - counted.generated);
    for (const direction of DIRECTIONS) {
      const more = copies[direction] - copied[direction];
      if (more > 0 || !sampled) this.metrics.deviceCopyBytes.add(more, { direction });
    }
    const { local, remote, computed } = promptTokens;
    this.counted = { local, remote, computed, generated: generatedTokens };
    this.copied = copies;
    this.sampled = true;
  }

  /** Connects the metrics that are read from cache and fleet at each scrape, and counts evictions. Call once. */
  watch(store: BlockStore, fleet: () => FleetCounts): void {
    const { registry } = this.metrics;
    if (this.ofProcess) registry.watchProcess();
    watchFleet(registry, fleet);
    this.metrics.watchCache(() => store.tiers);
    this.metrics.watchDisk(() => store.disk === 'away');
    store.listen({
      left: (tier, key, reason) => {
        this.metrics.evictions.add(1, { tier, reason });
        if (reason === 'evicted' && store.tiersOf(key).length === 0) this.tally.lost();
      },
    });
  }

  async serve(
    at: { host: string; port: number },
    state: Pick<MetricsServerOptions, 'ready' | 'degraded' | 'debug'>,
  ): Promise<string> {
    this.server = await startMetricsServer({ registry: this.metrics.registry, ...at, ...state });
    return this.server.url;
  }

  async close(): Promise<void> {
    await this.server?.close();
  }

  /** Announces the load and the state of this worker soon. */
  loadChanged(): void {
    for (const listener of this.loadListeners) listener();
  }

  private countDamaged(peer: string): void {
    if (!this.damaged.has(peer) && this.damaged.size >= DAMAGING_PEERS) return;
    this.damaged.set(peer, (this.damaged.get(peer) ?? 0) + 1);
    this.loadChanged();
  }
}
