import { type Pointer, viewMemory } from '../../../src/native/ffi.js';

/** The memory of the stand-in for a GPU: host memory whose allocations are known, so that an address outside them is noticed. */

interface Region {
  readonly name: string;
  readonly address: Pointer;
  readonly bytes: number;
}

/** What new memory holds, as a GPU's holds what others left. */
const DIRT = 0xa5;

export class DeviceHeap {
  /** Allocations that would exceed it fail, as on a GPU that is full. */
  limitBytes = Number.POSITIVE_INFINITY;
  private readonly regions = new Map<Pointer, Region>();
  private made = 0;

  /** @param host allocates and frees host memory */
  constructor(private readonly host: { allocate(bytes: number): Pointer; free(address: Pointer): void }) {}

  get usedBytes(): number {
    return [...this.regions.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Null if it would exceed the limit. */
  allocate(bytes: number): Pointer | null {
    if (this.usedBytes + bytes > this.limitBytes) return null;
    const address = this.host.allocate(bytes);
    viewMemory(address, bytes).fill(DIRT);
    this.regions.set(address, { name: `m${this.made}`, address, bytes });
    this.made += 1;
    return address;
  }

  /** False if nothing begins at the address. */
  free(address: Pointer): boolean {
    if (!this.regions.delete(address)) return false;
    this.host.free(address);
    return true;
  }

  /** Whether all of `[address, address + bytes)` lies in one allocation. */
  has(address: Pointer, bytes: number): boolean {
    return [...this.regions.values()].some(
      (region) => address >= region.address && address + bytes <= region.address + region.bytes,
    );
  }

  /** The address as an allocation and an offset, `m3+64`; `host` for an address in no allocation. */
  name(address: Pointer): string {
    for (const { name, address: start, bytes } of this.regions.values()) {
      if (address >= start && address < start + bytes) return `${name}+${address - start}`;
    }
    return 'host';
  }
}
