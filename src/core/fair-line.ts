import { FairShares, type Tenant } from './fair-shares.js';

/** A line in which tenants take turns, so that however many items one of them has, it holds up no other. */

export interface LineItem {
  readonly tenant: Tenant;
  readonly size: number;
}

export interface LineLimits {
  readonly items: number;
  /** Of the sizes of all items together. */
  readonly size: number;
}

/** The waiting items of one tenant, in order of arrival. */
interface Queue<T> {
  readonly tenant: Tenant;
  readonly items: T[];
  size: number;
}

/** The two limited quantities of a line. */
type Measure = keyof LineLimits;

/**
 * Waiting items, and the tenants that are being served. The tenant that was served least comes next (`FairShares`), with its
 * earliest item. A tenant has one item served at a time. If the line is full, tenants with a larger part of it than the newcomer's would be lose
 * their latest items.
 */
export class FairLine<T extends LineItem> {
  private readonly shares = new FairShares();
  private readonly queues = new Map<string, Queue<T>>();
  private readonly served = new Set<string>();
  private readonly used = { items: 0, size: 0 };

  constructor(private readonly limits: LineLimits) {}

  /** Appends an item. Returns the items that gave their places up; null if there is no place for it. */
  add(item: T, nowMs: number): readonly T[] | null {
    const victims = this.victimsFor(item);
    if (victims === null) return null;
    for (const victim of victims) this.remove(victim, nowMs);
    const { name } = item.tenant;
    const queue = this.queues.get(name) ?? { tenant: item.tenant, items: [], size: 0 };
    this.queues.set(name, queue);
    queue.items.push(item);
    this.count(queue, item, 1);
    this.shares.waits(item.tenant, nowMs);
    return victims;
  }

  /** Removes an item that will not be served. False if it does not wait. */
  remove(item: T, nowMs: number): boolean {
    const queue = this.queues.get(item.tenant.name);
    const at = queue?.items.indexOf(item) ?? -1;
    if (queue === undefined || at < 0) return false;
    this.takeOut(queue, at);
    this.shares.leaves(item.tenant, nowMs);
    return true;
  }

  /** Removes and returns the item that is served next; null if none may be. `end` must follow. */
  next(nowMs: number): T | null {
    let first: Queue<T> | null = null;
    for (const queue of this.queues.values()) {
      if (this.served.has(queue.tenant.name)) continue;
      if (first === null || this.shares.isBehind(queue.tenant, first.tenant)) first = queue;
    }
    if (first === null) return null;
    const item = this.takeOut(first, 0);
    this.served.add(item.tenant.name);
    this.shares.starts(item.tenant, nowMs);
    return item;
  }

  /** An item that was served is done. */
  end({ tenant }: T, cost: number, nowMs: number): void {
    this.served.delete(tenant.name);
    this.shares.charge(tenant, cost);
    this.shares.ends(tenant, nowMs);
  }

  /** Whether items are served, and a tenant waits that has none among them. */
  get heldUp(): boolean {
    if (this.served.size === 0) return false;
    for (const name of this.queues.keys()) if (!this.served.has(name)) return true;
    return false;
  }

  /** Removes and returns all items that wait. */
  clear(nowMs: number): readonly T[] {
    const all = [...this.queues.values()].flatMap(({ items }) => items);
    for (const item of all) this.remove(item, nowMs);
    return all;
  }

  /** The items to drop for a new one, the last of each tenant first; null if that makes no room. */
  private victimsFor(item: T): readonly T[] | null {
    const left = { ...this.used };
    const rest = new Map([...this.queues].map(([name, { items, size }]) => [name, { items: items.length, size }]));
    const victims: T[] = [];
    for (;;) {
      const short = this.shortage(left, item);
      if (short === null) return victims;
      const victim = this.greediest(item, rest, short);
      if (victim === null) return null;
      victims.push(victim);
      const own = rest.get(victim.tenant.name)!;
      for (const each of [own, left]) {
        each.items--;
        each.size -= victim.size;
      }
    }
  }

  private shortage(used: LineLimits, { size }: T): Measure | null {
    if (used.items + 1 > this.limits.items) return 'items';
    return used.size + size > this.limits.size ? 'size' : null;
  }

  /** The last item of the tenant with most of a measure for its weight; null if that is not more than the newcomer would have. */
  private greediest(item: T, rest: ReadonlyMap<string, LineLimits>, measure: Measure): T | null {
    const own = rest.get(item.tenant.name)?.[measure] ?? 0;
    let most = (own + (measure === 'items' ? 1 : item.size)) / item.tenant.weight;
    let victim: T | null = null;
    for (const { tenant, items } of this.queues.values()) {
      const left = rest.get(tenant.name)!;
      const part = left[measure] / tenant.weight;
      if (tenant.name === item.tenant.name || left.items === 0 || part <= most) continue;
      most = part;
      victim = items[left.items - 1]!;
    }
    return victim;
  }

  private takeOut(queue: Queue<T>, at: number): T {
    const [item] = queue.items.splice(at, 1) as [T];
    this.count(queue, item, -1);
    if (queue.items.length === 0) this.queues.delete(queue.tenant.name);
    return item;
  }

  private count(queue: Queue<T>, { size }: T, by: 1 | -1): void {
    queue.size += by * size;
    this.used.size += by * size;
    this.used.items += by;
  }
}
