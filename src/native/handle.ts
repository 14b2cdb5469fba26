import { InternalError } from '../errors.js';
import { NULL, type Pointer } from './ffi.js';

/** Reference-counted owners of native objects, counted by kind so that a test sees a leak. */

const live = new Map<string, number>();

function count(kind: string, change: 1 | -1): void {
  const total = (live.get(kind) ?? 0) + change;
  if (total === 0) live.delete(kind);
  else live.set(kind, total);
}

const leaked = new FinalizationRegistry((kind: string) => {
  process.emitWarning(`a native ${kind} was garbage-collected without release: its memory is lost`, 'HandleLeak');
});

/** The number of native objects of each kind that are alive in this process. Kinds without any are absent. @internal exported for tests. */
export function liveHandles(): Readonly<Record<string, number>> {
  return Object.fromEntries(live);
}

/**
 * Owner of one native object. The object is freed once its owner has released it and every other user (a run, another object)
 * has dropped its reference. Garbage collection never frees it: it only warns of a handle that was not released.
 */
export abstract class Handle {
  private _pointer: Pointer;
  private released = false;
  private references = 1;

  protected constructor(
    readonly kind: string,
    pointer: Pointer,
  ) {
    this._pointer = pointer;
    count(kind, 1);
    leaked.register(this, kind, this);
  }

  /** The object's address. Throws `InternalError` after `release`. */
  get pointer(): Pointer {
    if (this.released) throw new InternalError(`a ${this.kind} was used after its release`);
    return this._pointer;
  }

  /** Drops the owner's reference: the owner must not use the object any more. Idempotent. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.dropReference();
  }

  /** Keeps the object alive until `dropReference`. For other handles and for runs; owners call `release` instead. */
  addReference(): void {
    if (this.references === 0) throw new InternalError(`a ${this.kind} was used after it was freed`);
    this.references += 1;
  }

  dropReference(): void {
    this.references -= 1;
    if (this.references > 0) return;
    const pointer = this._pointer;
    this._pointer = NULL;
    this.released = true;
    count(this.kind, -1);
    leaked.unregister(this);
    this.free(pointer);
  }

  protected abstract free(pointer: Pointer): void;
}

/** Passes a native object to `use`, and frees it afterwards even if `use` throws. */
export function withHandle<T>(
  kind: string,
  pointer: Pointer,
  free: (pointer: Pointer) => void,
  use: (pointer: Pointer) => T,
): T {
  count(kind, 1);
  try {
    return use(pointer);
  } finally {
    free(pointer);
    count(kind, -1);
  }
}
