import { Overloaded } from '../errors.js';
import { ValueWriter } from './object-value.js';

/**
 * The memory of values in transit from clients into the fleet, bounded over all clients of a process. It is taken as the bytes come. Where there are
 * tenants, each may have as much as is free (dynamic thresholds, A. Choudhury and E. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
 * Switches", 1998): one alone gets half, two a third each, and another one always finds room.
 */
export class ValueStaging {
  private used = 0;
  private readonly tenants = new Map<string, number>();

  constructor(private readonly limitBytes: number) {}

  get usedBytes(): number {
    return this.used;
  }

  /**
   * Takes a value of known length in. `target` of the writer throws `Overloaded` once there is no memory for the next extent.
   * @param tenant null where all clients are one tenant
   */
  writer(bytes: number, tenant: string | null): ValueWriter {
    let taken = 0;
    const take = (extentBytes: number) => {
      this.check(extentBytes, tenant);
      taken += extentBytes;
      this.count(extentBytes, tenant);
    };
    const free = () => {
      this.count(-taken, tenant);
      taken = 0;
    };
    return new ValueWriter(bytes, take, free);
  }

  private check(bytes: number, tenant: string | null): void {
    const { limitBytes, used } = this;
    if (used + bytes > limitBytes) {
      throw new Overloaded(`incoming values have ${limitBytes} bytes of memory, which are in use; retry later`);
    }
    if (tenant === null) return;
    const own = this.tenants.get(tenant) ?? 0;
    if (own + bytes <= limitBytes - used) return;
    throw new Overloaded(
      `incoming values have ${limitBytes} bytes of memory; this tenant already holds ${own}, no less than is free; retry later`,
    );
  }

  private count(bytes: number, tenant: string | null): void {
    this.used += bytes;
    if (tenant === null) return;
    const own = (this.tenants.get(tenant) ?? 0) + bytes;
    if (own === 0) this.tenants.delete(tenant);
    else this.tenants.set(tenant, own);
  }
}
