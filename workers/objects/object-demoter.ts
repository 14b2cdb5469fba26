import type { ObjectResidency } from '../../src/objects/residency.js';
import type { ObjectDisk } from './object-disk.js';
import type { StoredObject } from './stored-object.js';

/**
 * Copies the objects that would have to leave memory next to the disk, before they have to: their memory is then free at once, and no budget is
 * exceeded for a write that is under way.
 */

/** Share of the budget from which on objects are copied, and the share that may leave at once. */
const FROM = 0.5;
const READY = 0.35;
/** Objects looked at for one that is not on the disk yet. */
const LOOKED_AT = 4_096;

export class ObjectDemoter {
  private running: Promise<void> | null = null;

  constructor(
    private readonly residency: ObjectResidency<StoredObject>,
    private readonly disk: ObjectDisk,
  ) {}

  /** The memory has more objects than before. Resolves when what may have to leave is on the disk, or the disk takes nothing at present. */
  notify(): Promise<void> {
    this.running ??= this.run().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  private async run(): Promise<void> {
    for (let object = this.next(); object !== null; object = this.next()) {
      if (!(await this.copy(object))) return;
    }
  }

  /** False if the disk takes nothing at present. */
  private async copy(object: StoredObject): Promise<boolean> {
    const { name, info } = object;
    const value = object.value.hold();
    const isCurrent = () => this.residency.get(object.hash) === object;
    try {
      return (await this.disk.write(name, info, value, isCurrent)) || !isCurrent();
    } finally {
      value.release();
    }
  }

  private next(): StoredObject | null {
    const { budgetBytes, bytes } = this.residency;
    if (bytes < FROM * budgetBytes) return null;
    let readyBytes = 0;
    let looked = 0;
    for (const object of this.residency.oldest()) {
      if (readyBytes > READY * budgetBytes || ++looked > LOOKED_AT) return null;
      if (this.disk.has(object.hash, object.info)) readyBytes += object.bytes;
      else if (this.disk.takes(object.info.bytes)) return object;
    }
    return null;
  }
}
