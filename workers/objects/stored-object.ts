import type { ObjectInfo } from '../../src/objects/object.js';
import type { ObjectHash, ObjectName } from '../../src/objects/object-name.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import { OBJECT_OVERHEAD_BYTES, type Resident } from '../../src/objects/residency.js';

/** An object in a worker's memory. The store has one reference to its value. */
export class StoredObject implements Resident {
  heapIndex = -1;
  readonly hash: ObjectHash;
  readonly bytes: number;

  constructor(
    readonly name: ObjectName,
    readonly info: ObjectInfo,
    readonly value: ObjectValue,
  ) {
    this.hash = name.hash;
    this.bytes = costOf(name, value.bytes);
  }

  get expiresAtMs(): number | null {
    return this.info.expiresAtMs;
  }

  evictable(): boolean {
    return this.value.unread;
  }
}

/** Bytes of budget that an object takes. */
export function costOf({ key }: ObjectName, valueBytes: number): number {
  return valueBytes + key.byteLength + OBJECT_OVERHEAD_BYTES;
}
