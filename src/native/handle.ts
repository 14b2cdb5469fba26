import { InternalError } from '../errors.js';
import { NULL, type Pointer } from './ffi.js';

const KINDS = [
  'environment',
  'sessionOptions',
  'session',
  'metadata',
  'typeInfo',
  'shapeInfo',
  'binding',
  'value',
  'memory',
  'mapping',
  'allocator',
  'runOptions',
  'providerOptions',
] as const;

export type HandleKind = (typeof KINDS)[number];

const live = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<HandleKind, number>;

const forgotten = new FinalizationRegistry((kind: HandleKind) => {
  process.emitWarning(`an ONNX Runtime ${kind} was collected without release: its memory is lost`, 'HandleLeak');
});

/** How many foreign objects of each kind are alive in this process. @internal exported for tests. */
export function liveHandles(): Readonly<Record<HandleKind, number>> {
  return { ...live };
}

/**
 * Owner of one foreign object. `release` says when its memory is given back, garbage collection does not (it only reports,
 * as a warning, an owner that was forgotten). What uses the object meanwhile, a run or another object, holds it: then it is
 * freed when the last of them drops it.
 */
export abstract class Handle {
  private _pointer: Pointer;
  private released = false;
  private references = 1;

  protected constructor(
    readonly kind: HandleKind,
    pointer: Pointer,
  ) {
    this._pointer = pointer;
    live[kind] += 1;
    forgotten.register(this, kind, this);
  }

  /** Its address. Throws `InternalError` after `release`. */
  get pointer(): Pointer {
    if (this.released) throw new InternalError(`a ${this.kind} was used after its release`);
    return this._pointer;
  }

  /** The owner's last word: it cannot be used any more. Calling it again does nothing. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.drop();
  }

  /** Keeps the object alive until `drop`. For the binding itself, not for its users. */
  hold(): void {
    if (this.references === 0) throw new InternalError(`a ${this.kind} was used after it was freed`);
    this.references += 1;
  }

  drop(): void {
    this.references -= 1;
    if (this.references > 0) return;
    const pointer = this._pointer;
    this._pointer = NULL;
    this.released = true;
    live[this.kind] -= 1;
    forgotten.unregister(this);
    this.free(pointer);
  }

  protected abstract free(pointer: Pointer): void;
}

/** Hands a foreign object to `use`, and frees it afterwards, come what may. */
export function withHandle<T>(
  kind: HandleKind,
  pointer: Pointer,
  free: (pointer: Pointer) => void,
  use: (pointer: Pointer) => T,
): T {
  live[kind] += 1;
  try {
    return use(pointer);
  } finally {
    free(pointer);
    live[kind] -= 1;
  }
}
