import type { NodeAddress } from '../../actors/envelope.js';
import type { NodeGrant } from '../core/node-resources.js';
import type { Library } from '../library.js';
import type { InstanceSpec } from '../messages.js';

/** What a node keeps of the specifications of its instances: texts and lists that are equal once for all of them, because a node may have many. */

const NOTHING = { plain: [], tagged: false };
const NO_RESOURCES: InstanceSpec['resources'] = {};
const NO_GROUPS: InstanceSpec['concurrencyGroups'] = [];
const NO_GPUS: readonly string[] = [];
const DEFAULT_NAMESPACE = 'default';

export class KeptSpecs {
  private readonly owners = new Map<string, NodeAddress>();

  constructor(private readonly library: Library) {}

  /** Without the arguments, unless this node may have to create the instance again elsewhere. */
  spec(of: InstanceSpec): InstanceSpec {
    const { id, args, name, namespace, lifetime, resources, bundle, concurrencyGroups } = of;
    const hosted = this.library.hosted(of.class);
    return {
      id,
      class: hosted?.name === of.class ? hosted.name : of.class,
      version: hosted?.version === of.version ? hosted.version : of.version,
      args: lifetime === 'detached' ? args : NOTHING,
      name,
      namespace: namespace === DEFAULT_NAMESPACE ? DEFAULT_NAMESPACE : namespace,
      lifetime: lifetime === 'detached' ? 'detached' : 'driver',
      resources: Object.keys(resources).length === 0 ? NO_RESOURCES : resources,
      bundle,
      maxRestarts: of.maxRestarts,
      maxConcurrency: of.maxConcurrency,
      concurrencyGroups: concurrencyGroups.length === 0 ? NO_GROUPS : concurrencyGroups,
      maxPending: of.maxPending,
      checkpointEvery: of.checkpointEvery,
    };
  }

  owner(of: NodeAddress | null): NodeAddress | null {
    if (of === null) return null;
    const known = this.owners.get(of.incarnation);
    if (known === undefined) this.owners.set(of.incarnation, of);
    return known ?? of;
  }

  /** A process is gone. */
  forget(incarnation: string): void {
    this.owners.delete(incarnation);
  }

  grant({ resources, gpuIds, bundle }: NodeGrant): NodeGrant {
    const isNone = Object.keys(resources).length === 0;
    if (isNone && gpuIds.length === 0 && bundle === null) return NO_GRANT;
    return { resources, gpuIds, bundle };
  }
}

const NO_GRANT: NodeGrant = { resources: NO_RESOURCES, gpuIds: NO_GPUS, bundle: null };
