import { current } from '../../../src/runtime/context.js';
import type { ObjectRef } from '../../../src/runtime/objects/object-ref.js';

/** The code that the nodes of a simulation host. */

/** Counts, and keeps its count over the loss of its node. */
export class SimCounter {
  private count = 0;

  /** The numbers that were given out rise, whatever happens to the nodes. */
  next(): number {
    return ++this.count;
  }

  save(): number {
    return this.count;
  }

  restore(count: number): void {
    this.count = count;
  }
}

let calls = 0;

/** Tells which life of the actor a call found, and its place among all calls of the simulation. */
export class SimToken {
  private readonly life = current().attempt;

  who(): { readonly life: number; readonly call: number } {
    return { life: this.life, call: ++calls };
  }
}

/** Keeps a reference, and reads what it refers to. */
export class SimKeeper {
  private ref: ObjectRef<string> | null = null;

  keep({ ref }: { readonly ref: ObjectRef<string> }): void {
    this.ref?.release();
    this.ref = ref;
  }

  async read(): Promise<string | null> {
    return this.ref === null ? null : this.ref.get();
  }

  drop(): void {
    this.ref?.release();
    this.ref = null;
  }
}

export function simDouble(value: number): number {
  return 2 * value;
}
