import type { KVLayer } from './kv-tensor.js';

/** Layers in the memory of a client, within a budget: prefetched ones, each for one read, and pinned ones. */

/** `prefetched`: goes with its first read, and the oldest goes for a newer one. `pinned`: stays. */
type Role = 'prefetched' | 'pinned';

interface LocalLayer {
  readonly layer: KVLayer;
  readonly role: Role;
}

export class LocalLayers {
  private readonly layers = new Map<string, LocalLayer>();
  private total = 0;

  constructor(private readonly budgetBytes: number) {}

  get bytes(): number {
    return this.total;
  }

  get size(): number {
    return this.layers.size;
  }

  /** Keeps a layer, in place of an older one of this key. False if there is no room: pinned layers do not make any. */
  add(key: string, layer: KVLayer, role: Role): boolean {
    const bytes = bytesOf(layer);
    const pinned = this.pinned().reduce((sum, [other, each]) => sum + (other === key ? 0 : bytesOf(each)), 0);
    if (pinned + bytes > this.budgetBytes) return false;
    this.remove(key);
    for (const [other, each] of this.layers) {
      if (this.total + bytes <= this.budgetBytes) break;
      if (each.role === 'prefetched') this.remove(other);
    }
    this.layers.set(key, { layer, role });
    this.total += bytes;
    return true;
  }

  /** The layer for a reader; null if it is not here. */
  take(key: string): KVLayer | null {
    const found = this.layers.get(key);
    if (found?.role === 'prefetched') this.remove(key);
    return found?.layer ?? null;
  }

  /** A newer layer was written under this key. */
  replace(key: string, layer: KVLayer): void {
    const role = this.layers.get(key)?.role;
    this.remove(key);
    if (role !== undefined) this.add(key, layer, role);
  }

  remove(key: string): void {
    const found = this.layers.get(key);
    if (found === undefined) return;
    this.layers.delete(key);
    this.total -= bytesOf(found.layer);
  }

  isPinned(key: string): boolean {
    return this.layers.get(key)?.role === 'pinned';
  }

  pinned(): [key: string, layer: KVLayer][] {
    return [...this.layers].flatMap(([key, { layer, role }]) => (role === 'pinned' ? [[key, layer]] : []));
  }

  clear(): void {
    this.layers.clear();
    this.total = 0;
  }
}

function bytesOf({ k, v }: KVLayer): number {
  return k.bytes.byteLength + v.bytes.byteLength;
}
