import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RouteKind } from '../../../src/actors/route.js';
import { ActorSystem } from '../../../src/actors/system.js';
import type { Bus } from '../../../src/bus/bus.js';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import { SystemClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { newIncarnation } from '../../../src/fleet/identity.js';
import { Lifecycle } from '../../../src/lifecycle.js';
import { type Log, SILENT_LOG } from '../../../src/log.js';
import { FleetClient } from '../../../src/runtime/client/fleet-client.js';
import type { HostObserver } from '../../../src/runtime/host/host-observer.js';
import { NodeHost } from '../../../src/runtime/host/node-host.js';
import { Library } from '../../../src/runtime/library.js';
import { RuntimeMember } from '../../../src/runtime/member/member.js';
import { machineSurroundings } from '../../../src/surroundings.js';
import type { Tracer } from '../../../src/trace/span.js';

/** Members of a runtime in one process, with real sockets between them and a bus in memory. */

export const CODE = fileURLToPath(new URL('./code.ts', import.meta.url));
const SECRET = 'sixteen characters';

export interface Member {
  readonly fleet: FleetClient;
  readonly member: RuntimeMember;
  /** The route of each call that set out. */
  readonly paths: readonly RouteKind[];
  /** Leaves in good order. */
  stop(): Promise<void>;
  /** Goes without a word: its connections close. */
  vanish(): Promise<void>;
}

export interface NodeOptions {
  readonly resources?: Readonly<Record<string, number>>;
  readonly gpuIds?: readonly string[];
  readonly worker?: string;
  readonly observer?: HostObserver;
  readonly tracer?: Tracer;
  /** Whether others can dial it. Default: they can. */
  readonly listens?: boolean;
}

export class RuntimeWorld {
  readonly broker = new MemoryBroker();
  /** The coordinator of members that join from now on; nobody listens on the default. */
  coordinatorUrl = 'http://127.0.0.1:9';
  /** How long a reference that was sent keeps its object, in members that join from now on. */
  sentMs = 30_000;
  /** Of members that join from now on. */
  log: Log = SILENT_LOG;
  /** What each read of the store waits for. */
  beforeRead: () => Promise<void> = async () => undefined;
  private readonly bucket = new MemoryKeyValue();
  private readonly members = new Set<Member>();
  private readonly cut = new Set<string>();

  private constructor(private readonly dir: string) {}

  static async make(): Promise<RuntimeWorld> {
    return new RuntimeWorld(await mkdtemp(join(tmpdir(), 'shoal-runtime-')));
  }

  async node(id: string, options: NodeOptions = {}): Promise<Member> {
    const { resources = { cpu: 4 }, gpuIds = [], worker = null, listens = true, ...watched } = options;
    return this.join(id, { kind: 'node', worker, listens }, async (life, { member, fleet }) => {
      const library = await Library.load([CODE]);
      fleet.knowErrors(library.exported);
      await new NodeHost({ member, library, fleet, total: resources, gpuIds, log: SILENT_LOG, ...watched }).start(life);
    });
  }

  /** A driver that has heard of all nodes. */
  async driver(id = 'driver'): Promise<Member> {
    const joined = await this.newcomer(id);
    const nodes = [...this.members].filter(({ member }) => member.options.kind === 'node');
    const heard = () => nodes.every(({ member }) => joined.member.directory.get(member.self.incarnation) !== null);
    await until(joined.member, heard);
    return joined;
  }

  /** A driver that may not have heard of any node yet. */
  newcomer(id: string): Promise<Member> {
    return this.join(id, { kind: 'driver', worker: null, listens: false }, async () => {});
  }

  /** The bus and actors of a process that is no member, as a coordinator has them. */
  async bystander(id: string): Promise<{ readonly bus: Bus; readonly actors: ActorSystem }> {
    const incarnation = newIncarnation();
    const clock = new SystemClock();
    const { random } = machineSurroundings();
    const plain = { bus: this.broker.connect(id), openKeyValue: async () => this.bucketOf(id) };
    const self = { id, incarnation };
    const { bus } = sealTransport(plain, { clock, random, secret: SECRET, self, namespace: 'test' });
    const actors = new ActorSystem({ bus, clock, random, node: self, namespace: 'test' });
    actors.start();
    return { bus, actors };
  }

  /** What one process says on the bus does not reach the other, and the reverse. */
  separate(one: string, other: string): void {
    this.broker.sever(one, other);
  }

  /** A member's messages on the bus, and its requests to the store, are lost from now on; its connections stay. */
  cutOff({ member }: Member): void {
    this.cut.add(member.self.node);
    for (const other of this.members) this.broker.sever(member.self.node, other.member.self.node);
  }

  async close(): Promise<void> {
    this.cut.clear();
    this.broker.heal();
    for (const member of [...this.members].reverse()) await member.stop();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** The store as one member reaches it. */
  private bucketOf(id: string): KeyValue {
    const reach = async <T>(use: () => Promise<T>): Promise<T> => {
      if (this.cut.has(id)) throw new Unavailable('the store does not answer');
      return use();
    };
    const { bucket } = this;
    return {
      get: (key) => reach(() => this.beforeRead().then(() => bucket.get(key))),
      create: (key, value) => reach(() => bucket.create(key, value)),
      update: (key, value, revision) => reach(() => bucket.update(key, value, revision)),
      delete: (key) => reach(() => bucket.delete(key)),
    };
  }

  private async join(
    id: string,
    { kind, worker, listens }: { kind: 'node' | 'driver'; worker: string | null; listens: boolean },
    more: (life: Lifecycle, parts: Pick<Member, 'member' | 'fleet'>) => Promise<void>,
  ): Promise<Member> {
    const incarnation = newIncarnation();
    const clock = new SystemClock();
    const surroundings = machineSurroundings();
    const self = { id, incarnation };
    const plain = { bus: this.broker.connect(id), openKeyValue: async () => this.bucketOf(id) };
    const transport = sealTransport(plain, {
      clock,
      random: surroundings.random,
      secret: SECRET,
      self,
      namespace: 'test',
    });
    const life = new Lifecycle();
    const paths: RouteKind[] = [];
    const member = new RuntimeMember({
      ...{
        kind,
        id,
        incarnation,
        namespace: 'test',
        secret: SECRET,
        tls: null,
        transport,
        clock,
        surroundings,
        worker,
      },
      onCall: (path) => paths.push(path),
      log: this.log,
      listen: listens ? { unixPath: join(this.dir, `${id}.sock`), advertiseHost: null } : null,
    });
    life.use(transport.bus, (bus) => bus.close());
    const fleet = new FleetClient(member, {
      openBucket: () => transport.openKeyValue('actors'),
      objects: { sentMs: this.sentMs, budgetBytes: 2 ** 24, dir: join(this.dir, `objects-${id}`) },
      coordinator: { url: this.coordinatorUrl, apiKey: null },
      onClose: () => life.stop(),
    });
    await member.start(life);
    await fleet.start(life);
    await more(life, { member, fleet });
    const joined: Member = {
      fleet,
      member,
      paths,
      stop: () => {
        this.members.delete(joined);
        return life.stop();
      },
      vanish: async () => {
        this.cutOff(joined);
        await joined.stop();
      },
    };
    this.members.add(joined);
    return joined;
  }
}

/** Resolves when something holds; looks at each announcement. */
export function until({ directory }: RuntimeMember, holds: () => boolean): Promise<void> {
  if (holds()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = directory.onAnnounced(() => {
      if (!holds()) return;
      end();
      resolve();
    });
  });
}
