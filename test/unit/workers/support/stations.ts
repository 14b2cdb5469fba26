import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActorSystem } from '../../../../src/actors/system.js';
import { MemoryBroker, type MemoryBus } from '../../../../src/bus/memory-bus.js';
import { type Clock, SystemClock, settled, type Timer } from '../../../../src/clock.js';
import type { WorkerConfig } from '../../../../src/config/worker-config.js';
import { unpackKeys } from '../../../../src/core/key.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import type { Announcement } from '../../../../src/core/member.js';
import { CpuDevice } from '../../../../src/device/cpu/cpu-device.js';
import { loadModelGraph, type ModelGraph } from '../../../../src/engine/model-graph.js';
import { fleetSubjects } from '../../../../src/fleet/subjects.js';
import { SILENT_LOG } from '../../../../src/log.js';
import type { ModelFolder } from '../../../../src/model/folder.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { AnnouncementMessage, LeaveMessage } from '../../../../src/protocol/announcement.js';
import type { GenerateRequest } from '../../../../src/protocol/generate.js';
import { EngineProtocol, ShardProtocol, type WorkerFault, WorkerProtocol } from '../../../../src/protocol/worker.js';
import { SystemRandom } from '../../../../src/random.js';
import { machineSurroundings } from '../../../../src/surroundings.js';
import { readMessage } from '../../../../src/wire/read-message.js';
import type { BlockFiles } from '../../../../workers/cache/block-folder.js';
import { ANTI_ENTROPY_SWEEP_MS } from '../../../../workers/replication/anti-entropy.js';
import { Worker } from '../../../../workers/worker.js';
import { FINGERPRINT } from '../../../support/announcement.js';
import { type Answer, collect } from '../../engine/support/rig.js';
import { until } from '../../peer/support/until.js';

/** Workers over a real graph, in one process, on a bus in memory. */

export const NAMESPACE = 'fleet';
export const SECRET = 'a secret that all workers of the fleet know';
export const subjects = fleetSubjects(NAMESPACE);
export const BLOCK = 64;

export interface StationOptions {
  readonly folder: ModelFolder;
  /** One answer of so many is audited. */
  readonly auditOneIn?: number;
  readonly incarnation?: string;
  readonly generation?: number;
  readonly cache?: boolean;
  readonly replicas?: number;
  /** Room for blocks on the device, and in host memory below it. */
  readonly blocks?: number;
  readonly hostBlocks?: number;
  readonly files?: BlockFiles;
  readonly metrics?: WorkerConfig['metrics'];
  readonly clock?: Clock;
}

/** Compares homes a hundred times as often. */
export class HastyClock extends SystemClock {
  override after(delayMs: number, fn: () => void): Timer {
    const compares = delayMs >= ANTI_ENTROPY_SWEEP_MS / 2 && delayMs <= ANTI_ENTROPY_SWEEP_MS;
    return super.after(compares ? delayMs / 100 : delayMs, fn);
  }
}

/** A worker over a real graph, and all that a process would give it. */
export class Station {
  readonly device: CpuDevice;
  readonly worker: Worker;
  readonly over: string[] = [];
  readonly bus: MemoryBus;
  readonly address: { readonly node: string; readonly incarnation: string };
  private stopped = false;

  constructor(
    id: string,
    private readonly runtime: OrtRuntime,
    readonly graph: ModelGraph,
    broker: MemoryBroker,
    socketFolder: string,
    {
      incarnation = '0001',
      generation = 0,
      cache = true,
      replicas = 2,
      blocks = 64,
      hostBlocks = 0,
      files,
      metrics = null,
      clock = new SystemClock(),
      auditOneIn = 0,
      folder,
    }: StationOptions,
  ) {
    const bytes = blockBytes(graph.layout);
    const cacheBytes = blocks * bytes;
    this.device = new CpuDevice({
      runtime,
      layout: graph.layout,
      blockBudgetBytes: cacheBytes,
      slots: 4,
      capacityTokens: graph.contextTokens,
    });
    this.bus = broker.connect(id);
    this.address = { node: id, incarnation };
    const socketPath = join(socketFolder, `${id}-${incarnation}.sock`);
    const config: WorkerConfig = {
      id,
      namespace: NAMESPACE,
      nats: { url: 'nats://nowhere', user: null, password: null },
      secret: SECRET,
      peerTls: null,
      modelDir: '/nowhere',
      adapterDir: '/nowhere/adapters',
      graph: { dtype: 'auto', file: null },
      device: 'cpu',
      adapterBytes: 2 ** 29,
      trial: false,
      fetch: 'cheapest',
      replicas,
      durability: 'pooled',
      cache,
      cacheBytes,
      hostCacheBytes: hostBlocks * bytes,
      diskCacheDir: null,
      diskCacheBytes: 2 ** 30,
      diskCacheKey: 'k'.repeat(16),
      sequences: 4,
      contextTokens: graph.contextTokens,
      memoryBytes: 2 ** 30,
      sharedWeightsDir: null,
      threads: 1,
      prefill: { chunkTokens: BLOCK, pauseMs: 0 },
      draftTokens: 0,
      auditOneIn,
      handOverMs: 3_000,
      maxWaiting: 16,
      peer: { socketPath, host: '127.0.0.1', port: null, advertiseHost: '127.0.0.1' },
      metrics,
      objectBytes: 0,
      objectDiskBytes: 0,
      redis: null,
      trace: null,
      logLevel: 'silent',
      allowChaos: false,
      hosting: null,
    };
    this.worker = new Worker({
      config,
      identity: { id, incarnation, generation, pid: 1, host: 'h' },
      fingerprint: FINGERPRINT,
      eosTokenIds: folder.eosTokenIds,
      graph,
      device: this.device,
      deviceReason: 'a test',
      contextReason: '--context',
      trial: null,
      files: files ?? null,
      bus: this.bus,
      clock,
      surroundings: machineSurroundings(),
      log: SILENT_LOG,
      onOver: (why) => this.over.push(why),
    });
  }

  /** Ends it as its process does. Throws if a block is still in use. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await this.worker.stop();
    await this.bus.close();
    this.device.close();
    this.graph.release();
    this.runtime.release();
  }
}

/** Stations on one bus, and somebody who asks them. */
export class Fleet {
  readonly broker = new MemoryBroker();
  readonly bus = this.broker.connect('client');
  readonly heard = new Map<string, Announcement>();
  readonly left: string[] = [];
  readonly stations: Station[] = [];
  private readonly actors = new ActorSystem({
    bus: this.bus,
    clock: new SystemClock(),
    random: new SystemRandom(),
    node: { id: 'client', incarnation: '1' },
    namespace: NAMESPACE,
  });

  private constructor(
    readonly sockets: string,
    private readonly folder: ModelFolder,
  ) {
    this.bus.subscribe(subjects.announce, ({ payload }) => {
      const said = readMessage(AnnouncementMessage, payload)!;
      this.heard.set(`${said.id} ${said.incarnation}`, said);
    });
    this.bus.subscribe(subjects.leave, ({ payload }) => this.left.push(readMessage(LeaveMessage, payload)!.id));
  }

  static async open(folder: ModelFolder): Promise<Fleet> {
    return new Fleet(await mkdtemp(join(tmpdir(), 'shoal-worker-')), folder);
  }

  async add(id: string, options: Partial<StationOptions> = {}): Promise<Station> {
    const { folder } = this;
    const runtime = OrtRuntime.open();
    const graph = await loadModelGraph(runtime, folder, { threads: 1, allowSpinning: false });
    const station = new Station(id, runtime, graph, this.broker, this.sockets, { folder, ...options });
    this.stations.push(station);
    await station.worker.start();
    return station;
  }

  said({ address: { node, incarnation } }: Station): Announcement | undefined {
    return this.heard.get(`${node} ${incarnation}`);
  }

  /** Until each has heard all others say that they serve. */
  async joined(): Promise<void> {
    await until(() => this.stations.every((station) => this.said(station)?.state === 'serving'));
    this.bus.publish(subjects.hello, new Uint8Array());
    await this.bus.flush();
  }

  ask(of: Station, request: GenerateRequest, signal?: AbortSignal): Promise<Answer> {
    const engine = this.actors.ref(EngineProtocol, { ...of.address, actor: 'engine' });
    return collect(engine.stream('generate', request, { signal }));
  }

  order(of: Station, what: 'drain' | 'undrain' | 'reset'): Promise<unknown> {
    if (what === 'reset') return this.actors.ref(ShardProtocol, { ...of.address, actor: 'shard' }).ask('reset', {});
    return this.actors.ref(WorkerProtocol, { ...of.address, actor: 'worker' }).ask(what, {});
  }

  disturb(of: Station, fault: WorkerFault): Promise<unknown> {
    const worker = this.actors.ref(WorkerProtocol, { ...of.address, actor: 'worker' });
    return worker.ask('disturb', { fault, seconds: 1 });
  }

  async keys(of: Station): Promise<Set<string>> {
    const keys = new Set<string>();
    const shard = this.actors.ref(ShardProtocol, { ...of.address, actor: 'shard' });
    for await (const page of shard.stream('holdings', {})) for (const key of unpackKeys(page.keys)) keys.add(key);
    return keys;
  }

  /** Until a worker holds all these. */
  async holds(of: Station, keys: readonly string[]): Promise<void> {
    for (let held = new Set<string>(); !keys.every((key) => held.has(key)); ) {
      held = await this.keys(of);
      // A bus in memory goes round without a turn of the event loop, in which connections come about.
      await settled();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.stations.map((station) => station.stop()));
    await this.actors.stop();
    await rm(this.sockets, { recursive: true, force: true });
  }
}
