import { Overloaded } from '../../src/errors.js';

/** Part of the limit that one tenant may have, so that it cannot shut the others out. */
const TENANT_PART = 0.75;

/** Limits the sequences that a coordinator has accepted and not yet answered. */
export class RequestLimit {
  private _admitted = 0;
  private readonly byTenant = new Map<string, number>();

  constructor(private readonly limit: number) {}

  /** Sequences that are being answered. */
  get admitted(): number {
    return this._admitted;
  }

  /**
   * Admits `count` sequences of a tenant; null for a caller without a key. Returns the function that releases them; call it once. Throws
   * `Overloaded` over the limit.
   */
  admit(count: number, tenant: string | null = null): () => void {
    const ofTenant = tenant === null ? 0 : (this.byTenant.get(tenant) ?? 0);
    if (tenant !== null && ofTenant + count > Math.max(1, TENANT_PART * this.limit)) {
      throw new Overloaded(
        `cannot admit ${count} sequences: the coordinator is answering ${ofTenant} of this tenant; retry later`,
      );
    }
    if (this.admitted + count > this.limit) {
      throw new Overloaded(
        `cannot admit ${count} sequences: the coordinator is answering ${this.admitted} of at most ${this.limit}; retry later`,
      );
    }
    this.add(count, tenant);
    return () => this.add(-count, tenant);
  }

  private add(count: number, tenant: string | null): void {
    this._admitted += count;
    if (tenant === null) return;
    const ofTenant = (this.byTenant.get(tenant) ?? 0) + count;
    if (ofTenant > 0) this.byTenant.set(tenant, ofTenant);
    else this.byTenant.delete(tenant);
  }
}
