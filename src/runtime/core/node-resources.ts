import { type Allotment, type Grant, giveBack, newAllotment, take } from './allotment.js';
import type { Resources } from './resources.js';

/** The resources of one node, and the bundles of placement groups that are reserved of them. No clock inside. */

/** The resources of one actor or task, from the node or from a bundle. */
export interface NodeGrant extends Grant {
  readonly bundle: string | null;
}

/** A reserved part of the node. It is given back when it is no longer reserved and nothing runs in it. */
interface Reserved {
  readonly owner: string;
  readonly grant: Grant;
  allotment: Allotment;
  users: number;
  closed: boolean;
}

export interface BundleUse {
  readonly id: string;
  readonly resources: Resources;
  /** Actors and tasks in it. */
  readonly users: number;
}

export class NodeResources {
  private own: Allotment;
  private readonly bundles = new Map<string, Reserved>();

  constructor(total: Resources, gpuIds: readonly string[]) {
    this.own = newAllotment(total, gpuIds);
  }

  get total(): Resources {
    return this.own.total;
  }

  /** The resources that are neither used nor reserved. */
  get free(): Resources {
    return this.own.free;
  }

  /** The resources that are free for a demand. Null: the bundle is not reserved here. */
  freeIn(bundle: string | null): Resources | null {
    if (bundle === null) return this.own.free;
    const reserved = this.bundles.get(bundle);
    return reserved && !reserved.closed ? reserved.allotment.free : null;
  }

  get reserved(): BundleUse[] {
    return [...this.bundles].map(([id, { grant, users }]) => ({ id, resources: grant.resources, users }));
  }

  /** Takes resources of the node, or of a bundle; null if they are not free. */
  take(demand: Resources, bundle: string | null): NodeGrant | null {
    if (bundle === null) {
      const taken = take(this.own, demand);
      if (taken === null) return null;
      this.own = taken.allotment;
      return { ...taken.grant, bundle };
    }
    const reserved = this.bundles.get(bundle);
    const taken = reserved && !reserved.closed ? take(reserved.allotment, demand) : null;
    if (!reserved || taken === null) return null;
    reserved.allotment = taken.allotment;
    reserved.users++;
    return { ...taken.grant, bundle };
  }

  /** Gives back what `take` granted. To be called once for each grant. */
  giveBack(grant: NodeGrant): void {
    const { bundle } = grant;
    const reserved = bundle === null ? null : this.bundles.get(bundle);
    if (bundle === null) this.own = giveBack(this.own, grant);
    if (bundle === null || !reserved) return;
    reserved.allotment = giveBack(reserved.allotment, grant);
    reserved.users--;
    this.freeIfOver(bundle, reserved);
  }

  /** Reserves a bundle for a member. Reserving it again changes nothing. False if the resources are not free, or the bundle is still being freed. */
  reserve(id: string, owner: string, resources: Resources): boolean {
    const known = this.bundles.get(id);
    if (known) return !known.closed;
    const taken = take(this.own, resources);
    if (taken === null) return false;
    this.own = taken.allotment;
    const { grant } = taken;
    const allotment = newAllotment(resources, grant.gpuIds, Math.min(1, resources.gpu ?? 1));
    this.bundles.set(id, { owner, grant, allotment, users: 0, closed: false });
    return true;
  }

  /** Ends a reservation. Code that still runs in it keeps its resources until it releases them. */
  unreserve(id: string): void {
    const reserved = this.bundles.get(id);
    if (!reserved) return;
    reserved.closed = true;
    this.freeIfOver(id, reserved);
  }

  /** The bundles of a process that is gone. */
  bundlesOf(owner: string): string[] {
    return [...this.bundles].filter(([, reserved]) => reserved.owner === owner).map(([id]) => id);
  }

  private freeIfOver(id: string, { closed, users, grant }: Reserved): void {
    if (!closed || users > 0) return;
    this.bundles.delete(id);
    this.own = giveBack(this.own, grant);
  }
}
