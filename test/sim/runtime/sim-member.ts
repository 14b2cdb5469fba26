import { Lifecycle } from '../../../src/lifecycle.js';
import { FleetClient } from '../../../src/runtime/client/fleet-client.js';
import { NodeHost } from '../../../src/runtime/host/node-host.js';
import type { Library } from '../../../src/runtime/library.js';
import { RuntimeMember } from '../../../src/runtime/member/member.js';
import { SimBus } from '../sim-nats.js';
import type { SimProcess } from '../sim-process.js';
import { NAMESPACE, SECRET, surroundingsOf, type World } from '../world.js';

/** One member of the simulated runtime: the production code of a node or a driver, whole. */

const CPU = 8;
/** Within it, references that were sent keep their objects. */
export const SENT_MS = 3_000;

export class SimMember {
  readonly life = new Lifecycle();
  host: NodeHost | null = null;
  fleet: FleetClient | null = null;
  /** Called when this member takes another one for gone. */
  onGone: (id: string) => void = () => {};

  constructor(
    readonly process: SimProcess,
    readonly kind: 'node' | 'driver',
    private readonly world: World,
    private readonly library: Library,
  ) {}

  get id(): string {
    return this.process.host;
  }

  async start(): Promise<void> {
    const { process, world, kind, life, id } = this;
    const { clock } = process;
    const incarnation = world.incarnation();
    const onError = (error: unknown) => world.crashed(process, error);
    const bus = await SimBus.connect(process, world.nats, world.randomOf('bus'), onError);
    const transport = world.transport(process, bus, { id, incarnation });
    const log = world.logOf(process);
    const surroundings = surroundingsOf(world, process);
    const member = new RuntimeMember({
      ...{ kind, id, incarnation, transport, clock, surroundings, log, namespace: NAMESPACE, secret: SECRET },
      tls: null,
      worker: null,
      listen: kind === 'node' ? { unixPath: null, tcpHost: id, tcpPort: 0, advertiseHost: id } : null,
    });
    const fleet = new FleetClient(member, {
      openBucket: () => transport.openKeyValue('actors'),
      objects: { sentMs: SENT_MS, budgetBytes: 2 ** 20, dir: null },
      coordinator: { url: 'http://nowhere', apiKey: null },
      onClose: () => life.stop(),
    });
    member.directory.listen(({ type, node }) => type === 'gone' && this.onGone(node.id));
    await member.start(life);
    await fleet.start(life);
    if (kind === 'node') {
      this.host = new NodeHost({ member, library: this.library, fleet, total: { cpu: CPU }, gpuIds: [], log });
      await this.host.start(life);
    }
    this.fleet = fleet;
  }
}

/** What a member has left. References of actors that have ended are given up by the collection of garbage, which a simulation has not. */
export function leftOn({ id, host, fleet }: SimMember): string[] {
  const left: [what: string, count: number][] = [['objects', fleet!.objectStats().objects]];
  if (host) {
    const { instances, resources } = host as unknown as {
      readonly instances: ReadonlyMap<string, { readonly options: { readonly spec: { readonly class: string } } }>;
      readonly resources: { readonly free: Readonly<Record<string, number>> };
    };
    const classes = [...instances.values()].map(({ options }) => options.spec.class);
    left.push(
      [`actors: ${classes.join(', ')}`, classes.length],
      ['processors in use', CPU - (resources.free.cpu ?? 0)],
    );
  }
  return left.filter(([, count]) => count > 0).map(([what, count]) => `${id} has ${count} ${what}`);
}
