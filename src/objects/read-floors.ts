import type { Clock } from '../clock.js';
import type { ObjectInfo } from './object.js';
import type { ObjectHash } from './object-name.js';
import { isNewer, type Version } from './version.js';

/**
 * The versions that one connection has read from homes other than the first. Such a home may show a version before the first home does; a later read of
 * the connection must not find an older version there.
 */

/** By then the first home shows the version, or is gone. */
const FLOOR_MS = 6_000;
const FLOORS = 256;

export class ReadFloors {
  private readonly floors = new Map<ObjectHash, { readonly version: Version; readonly untilMs: number }>();

  constructor(private readonly clock: Clock) {}

  /** A version was read from a home that is not the first. */
  raise(hash: ObjectHash, version: Version): void {
    this.floors.delete(hash);
    this.floors.set(hash, { version, untilMs: this.clock.now() + FLOOR_MS });
    if (this.floors.size > FLOORS) this.floors.delete(this.floors.keys().next().value!);
  }

  /** Whether a state of the object may follow the versions read before; null means no object. */
  allows(hash: ObjectHash, info: ObjectInfo | null): boolean {
    const floor = this.floors.get(hash);
    if (floor === undefined) return true;
    if (floor.untilMs <= this.clock.now()) {
      this.floors.delete(hash);
      return true;
    }
    return info !== null && !isNewer(floor.version, info.version);
  }
}
