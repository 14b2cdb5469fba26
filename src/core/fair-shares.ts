/**
 * Fair shares of computing time between tenants: the virtual token counter of "Fairness in Serving Large Language Models" (Sheng et al., OSDI 2024).
 * A counter for each tenant sums the cost of its computation, divided by its weight; the waiting tenant with the lowest counter is served next. A
 * tenant that returns after a pause gets no credit for it: its counter rises to the lowest counter of the tenants being served.
 */

/** A tenant, and its weight against others: at least 1. */
export interface Tenant {
  readonly name: string;
  readonly weight: number;
}

/** The tenant of requests that name none. */
export const NO_TENANT: Tenant = { name: '', weight: 1 };

/** The costs of tokens. A cached token is copied, not computed; a generated token needs a separate run. */
const COMPUTED_TOKEN_COST = 1;
const CACHED_TOKEN_COST = 0.1;
export const GENERATED_TOKEN_COST = 2;

/** Time for which a tenant without requests is remembered. */
const REMEMBERED_MS = 600_000;
/** Tenants that are remembered. */
const TENANTS = 4_096;

interface Account {
  /** Cost of all that was computed, divided by the weight. */
  served: number;
  waiting: number;
  running: number;
  /** When it last had a request. */
  seenMs: number;
}

/** The cost of a prompt. */
export function promptCost(cachedTokens: number, computedTokens: number): number {
  return CACHED_TOKEN_COST * cachedTokens + COMPUTED_TOKEN_COST * computedTokens;
}

export class FairShares {
  /** Least recently seen first. */
  private readonly accounts = new Map<string, Account>();

  /** A request of the tenant waits. */
  waits({ name }: Tenant, nowMs: number): void {
    const account = this.accounts.get(name) ?? { served: 0, waiting: 0, running: 0, seenMs: nowMs };
    if (!isActive(account)) account.served = Math.max(account.served, this.leastServed());
    account.waiting++;
    this.see(name, account, nowMs);
    this.forget(nowMs);
  }

  /** A waiting request of the tenant starts. */
  starts({ name }: Tenant, nowMs: number): void {
    this.change(name, nowMs, { waiting: -1, running: 1 });
  }

  /** A waiting request of the tenant will not start. */
  leaves({ name }: Tenant, nowMs: number): void {
    this.change(name, nowMs, { waiting: -1, running: 0 });
  }

  /** A running request of the tenant has ended. */
  ends({ name }: Tenant, nowMs: number): void {
    this.change(name, nowMs, { waiting: 0, running: -1 });
  }

  /** A running request of the tenant waits again. */
  pauses({ name }: Tenant, nowMs: number): void {
    this.change(name, nowMs, { waiting: 1, running: -1 });
  }

  charge({ name, weight }: Tenant, cost: number): void {
    const account = this.accounts.get(name);
    if (account !== undefined) account.served += cost / weight;
  }

  /** Whether less was computed for the first tenant than for the second, by their weights. */
  isBehind(first: Tenant, second: Tenant): boolean {
    const [one, other] = [this.accounts.get(first.name), this.accounts.get(second.name)];
    return one !== undefined && other !== undefined && one.served < other.served;
  }

  /** The requests of the tenant that wait. */
  waitingOf({ name }: Tenant): number {
    return this.accounts.get(name)?.waiting ?? 0;
  }

  /**
   * Whether the tenant may take one more of `slots`. While other tenants are remembered, it cannot have them all: one stays free, so that another
   * tenant need not wait for a long request to end.
   */
  mayStart({ name }: Tenant, slots: number): boolean {
    if (slots === 1 || this.accounts.size < 2) return true;
    return (this.accounts.get(name)?.running ?? 0) < slots - 1;
  }

  /**
   * Items in the order in which they would be served if nothing else came. The items of one tenant stay in order.
   * @param costOf an estimate of the item's cost
   */
  *inOrder<T extends { readonly tenant: Tenant }>(items: readonly T[], costOf: (item: T) => number): Generator<T> {
    const queues = new Map<string, { readonly items: T[]; at: number; served: number }>();
    for (const item of items) {
      const { name } = item.tenant;
      const queue = queues.get(name);
      if (queue === undefined) queues.set(name, { items: [item], at: 0, served: this.accounts.get(name)?.served ?? 0 });
      else queue.items.push(item);
    }
    if (queues.size <= 1) {
      yield* items;
      return;
    }
    for (;;) {
      let least = null;
      for (const queue of queues.values()) {
        if (queue.at < queue.items.length && (least === null || queue.served < least.served)) least = queue;
      }
      if (least === null) return;
      const item = least.items[least.at++]!;
      least.served += costOf(item) / item.tenant.weight;
      yield item;
    }
  }

  private change(name: string, nowMs: number, by: Pick<Account, 'waiting' | 'running'>): void {
    const account = this.accounts.get(name);
    if (account === undefined) return;
    account.waiting += by.waiting;
    account.running += by.running;
    this.see(name, account, nowMs);
  }

  private see(name: string, account: Account, nowMs: number): void {
    account.seenMs = nowMs;
    this.accounts.delete(name);
    this.accounts.set(name, account);
  }

  /** The lowest counter of the tenants with requests; without any, the highest of all, since no tenant is behind. */
  private leastServed(): number {
    const all = [...this.accounts.values()];
    const active = all.filter(isActive);
    if (active.length > 0) return Math.min(...active.map(({ served }) => served));
    return Math.max(0, ...all.map(({ served }) => served));
  }

  private forget(nowMs: number): void {
    for (const [name, account] of this.accounts) {
      const old = nowMs - account.seenMs >= REMEMBERED_MS || this.accounts.size > TENANTS;
      if (!old) return;
      if (!isActive(account)) this.accounts.delete(name);
    }
  }
}

function isActive({ waiting, running }: Account): boolean {
  return waiting + running > 0;
}
