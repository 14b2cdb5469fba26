import { costOf, type ObjectInfo } from '../../src/objects/object.js';
import { type ObjectHash, type ObjectName, tenantOfSpace } from '../../src/objects/object-name.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import type { Resident } from '../../src/objects/residency.js';

/** An object in a worker's memory. The store has one reference to its value. */
export class StoredObject implements Resident {
  heapIndex = -1;
  readonly hash: ObjectHash;
  readonly tenant: string;
  readonly bytes: number;

  constructor(
    readonly name: ObjectName,
    readonly info: ObjectInfo,
    readonly value: ObjectValue,
  ) {
    this.hash = name.hash;
    this.tenant = tenantOfSpace(name.space);
    this.bytes = costOf(name, info);
  }

  get expiresAtMs(): number | null {
    return this.info.expiresAtMs;
  }

  evictable(): boolean {
    return this.value.unread;
  }
}
