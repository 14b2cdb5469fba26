import type { ObjectInfo } from '../../src/objects/object.js';
import type { ObjectName } from '../../src/objects/object-name.js';
import { isNewer, type Version } from '../../src/objects/version.js';

/** The last flush of each space: objects that are older are gone, though their memory may not be free yet. */

/** Limit on the spaces whose last flush is remembered. */
const FLUSHED_SPACES = 1024;

export class Flushes {
  private readonly versions = new Map<string, Version>();

  /** Remembers a flush, unless the space has had a later one. */
  add(space: string, version: Version): void {
    if (!isNewer(version, this.versions.get(space) ?? null)) return;
    this.versions.delete(space);
    this.versions.set(space, version);
    if (this.versions.size > FLUSHED_SPACES) this.versions.delete(this.versions.keys().next().value!);
  }

  /** The newer one of an object's version, null if there is none, and of the last flush of its space. */
  newest(space: string, known: Version | null): Version | null {
    const flushed = this.versions.get(space) ?? null;
    return flushed !== null && isNewer(flushed, known) ? flushed : known;
  }

  /** Whether an object is older than the last flush of its space. */
  have({ name, info }: { readonly name: ObjectName; readonly info: ObjectInfo }): boolean {
    const flushed = this.versions.get(name.space);
    return flushed !== undefined && isNewer(flushed, info.version);
  }
}
