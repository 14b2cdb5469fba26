import type { ActorSystem } from '../../src/actors/system.js';
import type { Clock } from '../../src/clock.js';
import type { WorkerConfig } from '../../src/config/worker-config.js';
import type { MembershipEffect } from '../../src/core/membership-events.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { Lifecycle } from '../../src/lifecycle.js';
import type { Log } from '../../src/log.js';
import { ObjectMetrics } from '../../src/metrics/object-metrics.js';
import type { MetricsRegistry } from '../../src/metrics/registry.js';
import { FleetObjects } from '../../src/objects/fleet-objects.js';
import { largestObject } from '../../src/objects/object.js';
import { RosterRing } from '../../src/objects/object-ring.js';
import { PacedLog } from '../../src/paced-log.js';
import { ObjectLinks, type ObjectLinksOptions } from '../../src/peer/objects/object-links.js';
import { ObjectSession } from '../../src/peer/objects/object-session.js';
import type { OpenSession } from '../../src/peer/wire/greeting.js';
import type { PurgedObjects } from '../../src/protocol/worker.js';
import { fleetResp } from '../../src/resp/fleet-resp.js';
import type { RespServer } from '../../src/resp/resp-server.js';
import type { Surroundings } from '../../src/surroundings.js';
import type { BlockFiles } from '../cache/block-folder.js';
import { CoordinatorsAccess } from './coordinators-access.js';
import { ObjectDisk } from './object-disk.js';
import { ValueSharing } from './value-sharing.js';
import { WorkerObjects } from './worker-objects.js';

/** The objects of a worker, with all that connects them to the other members and to clients. */

export interface ServedObjectsOptions {
  readonly config: WorkerConfig;
  readonly incarnation: string;
  /** How this worker dials its peers. */
  readonly dialling: Omit<ObjectLinksOptions, 'workerOf'>;
  readonly roster: Roster;
  readonly actors: ActorSystem;
  readonly clock: Clock;
  readonly surroundings: Surroundings;
  readonly log: Log;
  readonly registry: MetricsRegistry;
  /** The folder of objects on disk; null for none. */
  readonly files: BlockFiles | null;
}

export class ServedObjects {
  /** Serves connections for objects that members have dialled. */
  readonly accept: OpenSession;
  private readonly objects: WorkerObjects;
  private readonly links: ObjectLinks;
  private readonly disk: ObjectDisk | null;
  private readonly clients: { readonly server: RespServer; readonly access: CoordinatorsAccess } | null;

  constructor(private readonly options: ServedObjectsOptions) {
    const { config, incarnation, dialling, roster, clock, surroundings, registry } = options;
    const { id } = config;
    const ring = new RosterRing(roster, config.replicas);
    const links = new ObjectLinks({ ...dialling, workerOf: (worker) => roster.alive(worker) });
    const { wallMs, random } = surroundings;
    const metrics = new ObjectMetrics(registry, () => this.use());
    this.links = links;
    this.disk = makeDisk(options);
    this.objects = new WorkerObjects({
      self: { id, incarnation },
      budgetBytes: config.objectBytes,
      disk: this.disk,
      ring,
      clock,
      wallMs,
      peerOf: (worker) => links.peer(worker),
      // Where peers do not map this process's memory, clients do not either.
      ...(surroundings.openMemory !== null && { sharing: new ValueSharing(surroundings.hostId, random) }),
      events: {
        gone: (reason) => metrics.gone.add(1, { reason }),
        moved: (objects) => metrics.moved.add(objects),
        full: () => metrics.full.add(1),
      },
    });
    const objectBytes = largestObject(config.objectBytes);
    const isMember = (peer: { id: string; incarnation: string }) => roster.has(peer.id, peer.incarnation);
    this.accept = (connection) => new ObjectSession(connection, { host: this.objects.home, isMember, objectBytes });
    const own = { id, objects: this.objects.home };
    const fleet = new FleetObjects({ ring, clock, random, nodeOf: (worker) => links.peer(worker), own });
    this.clients = this.makeClients(fleet, objectBytes);
  }

  /** The address for clients of the Redis protocol; null if it is not served. */
  get redis(): string | null {
    const { redis } = this.options.config;
    const server = this.clients?.server;
    if (!redis || !server) return null;
    return redis.port === null ? redis.socketPath : `${redis.host}:${server.port}`;
  }

  /** Starts the parts; `life` stops them. To be called once the worker hears its peers. */
  async start(life: Lifecycle): Promise<void> {
    life.use(this.links, (links) => links.close());
    await this.disk?.open();
    await life.start(this.objects);
    if (this.clients === null) return;
    await life.start(this.clients.access);
    await life.start(this.clients.server);
  }

  /** As `WorkerObjects.purge`. */
  purge(objects: PurgedObjects): ReturnType<WorkerObjects['purge']> {
    return this.objects.purge(objects);
  }

  /** Resolves when no copy is owed to another worker. */
  idle(): Promise<void> {
    return this.objects.idle();
  }

  onMembership(effect: MembershipEffect): void {
    const { roster } = this.options;
    if (effect.type === 'dead' || effect.type === 'left') {
      this.objects.workerGone();
      if (roster.alive(effect.id)?.incarnation !== effect.incarnation) this.links.forget(effect.id);
    }
    if (effect.type === 'raised' || (effect.type === 'hearing' && effect.hears)) this.objects.wasCutOff();
    if (effect.type === 'changed') this.objects.viewChanged();
  }

  private use() {
    const { objects, bytes, budgetBytes } = this.objects.store;
    const disk = { bytes: this.disk?.bytes ?? 0, budgetBytes: this.disk?.budgetBytes ?? 0 };
    return { objects, bytes, budgetBytes, owedCopies: this.objects.owedCopies, disk };
  }

  private makeClients(fleet: FleetObjects, objectBytes: number): ServedObjects['clients'] {
    const { config, actors, clock, surroundings, log, registry } = this.options;
    const { redis, id } = config;
    if (redis === null) return null;
    const access = new CoordinatorsAccess(actors, clock, redis.exposed);
    const memory = () => this.objects.store;
    const server = fleetResp({
      ...{ redis, objectBytes, objects: fleet, access, id, memory, clock, surroundings, log, registry },
      role: 'worker',
    });
    return { server, access };
  }
}

function makeDisk({ files, config, clock, log }: ServedObjectsOptions): ObjectDisk | null {
  return files && new ObjectDisk({ files, budgetBytes: config.objectDiskBytes, clock, log: new PacedLog(log, clock) });
}
