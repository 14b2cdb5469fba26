import { InvalidRequest } from '../../errors.js';
import type { WireValue } from '../messages.js';
import { objectPieces, objectValue } from '../objects/object-layout.js';
import { ObjectAddress, ObjectRef } from '../objects/object-ref.js';
import type { ProcessObjects } from '../objects/process-objects.js';
import { ErrorClasses } from '../values/error-value.js';
import { packValue, unpackValue, type ValueHooks } from '../values/value.js';
import { type HandleCalls, HandleState, handleState, makeHandle } from './handle.js';

/** Values of one process in messages: with its handles, its references to objects, and its classes of errors. */

/** A value that takes more becomes an object, which the receiver reads over a direct connection. */
const INLINE_BYTES = 64 * 1024;

/** Arguments in a message. */
export interface PackedArguments {
  readonly wire: WireValue;
  /** Whether they refer to objects of processes, which may end. */
  readonly hasRefs: boolean;
  /** `isOver`: the callee has answered, and has its own references to what it keeps. Else references may still be in transit to it. */
  release(isOver: boolean): void;
}

/** Arguments that came in a message. */
interface Given {
  readonly args: readonly unknown[];
  /** Resolves when the owners of the objects that the arguments refer to count this process. Null: they refer to none. To be awaited before the answer. */
  readonly held: Promise<unknown> | null;
}

const nothing = () => undefined;

export class MessageValues {
  readonly errors = new ErrorClasses();
  private readonly hooks: ValueHooks;
  /** References in the value that is being packed. */
  private refs: ObjectAddress[] = [];
  /** References to others' objects in the value that is being unpacked, each until its owner counts it. */
  private holds: Promise<unknown>[] = [];

  constructor(
    calls: HandleCalls,
    readonly objects: ProcessObjects,
  ) {
    this.hooks = {
      pack: (value) => this.packOwn(value),
      unpack: (tag, content) => this.unpackOwn(tag, content, calls),
    };
    objects.unpackBy((bytes) => objectValue(bytes, this.hooks));
  }

  /**
   * Packs the arguments of a call. Objects that they refer to are kept until `release`, which must be called when the call is over.
   * @throws InvalidRequest, Overloaded
   */
  packArguments(args: readonly unknown[]): PackedArguments {
    const { wire, refs } = this.pack(args);
    if ('object' in wire) {
      return { wire, hasRefs: true, release: (isOver) => this.objects.release(wire.object, isOver) };
    }
    if (refs.length === 0) return { wire, hasRefs: false, release: nothing };
    const kept = this.objects.keepAll(refs);
    return { wire, hasRefs: true, release: (isOver) => this.objects.letGoAll(kept, isOver) };
  }

  /**
   * Packs a result. Objects that it refers to are kept until the receiver, which reads it at once, holds its own references. If the result becomes an
   * object, it is deleted when the receiver has read it.
   * @throws InvalidRequest, Overloaded
   */
  packResult(value: unknown): WireValue {
    const { wire, refs } = this.pack(value);
    if ('object' in wire) {
      this.objects.sent(wire.object);
      this.objects.release(wire.object);
    } else for (const address of refs) this.objects.sent(address);
    return wire;
  }

  /** Stores a result here, and packs a reference to it, which is kept for the one receiver of the message. @throws InvalidRequest, Overloaded */
  packKept(value: unknown): WireValue {
    const ref = this.put(value);
    const wire = this.packResult(ref);
    ref.release();
    return wire;
  }

  /** The value of a result. @throws ObjectLost, InvalidRequest */
  async unpackResult(wire: WireValue): Promise<unknown> {
    const value = this.unpacked(wire, 'object' in wire ? await this.objects.copyOf(wire.object) : null);
    this.holds = [];
    if ('object' in wire) this.objects.received(wire.object);
    return value;
  }

  /** The arguments of a call, each reference among them replaced by its value. @throws ObjectLost, InvalidRequest */
  async unpackArguments(wire: WireValue): Promise<Given> {
    const bytes = 'object' in wire ? await this.objects.copyOf(wire.object) : null;
    this.holds = [];
    const args = this.unpacked(wire, bytes);
    const held = this.holds.length === 0 ? null : Promise.all(this.holds);
    if (!Array.isArray(args)) throw new InvalidRequest('a message has arguments that are not a list');
    const hasRefs = args.some((arg) => arg instanceof ObjectRef);
    return { args: hasRefs ? await Promise.all(args.map(argumentOf)) : args, held };
  }

  /** A list that was packed as a result. Throws like `unpackResult`. */
  async unpackList(wire: WireValue): Promise<readonly unknown[]> {
    const list = await this.unpackResult(wire);
    if (Array.isArray(list)) return list;
    throw new InvalidRequest('a message has a state that is not in a list');
  }

  /** Stores a value. @throws InvalidRequest, Overloaded */
  put<T>(value: T): ObjectRef<T> {
    const buffers: Uint8Array[] = [];
    const { packed, refs } = this.packed(value, buffers);
    return this.objects.put(objectPieces(packed, buffers), refs);
  }

  private pack(value: unknown): { readonly wire: WireValue; readonly refs: readonly ObjectAddress[] } {
    const buffers: Uint8Array[] = [];
    const { packed, refs } = this.packed(value, buffers);
    if (packed.bytes > INLINE_BYTES) {
      return { wire: { object: this.objects.add(objectPieces(packed, buffers), refs) }, refs };
    }
    const { plain, tagged } = buffers.length === 0 ? packed : this.packed(value, null).packed;
    return { wire: { plain, tagged }, refs };
  }

  private packed(value: unknown, buffers: Uint8Array[] | null) {
    const refs: ObjectAddress[] = [];
    this.refs = refs;
    return { packed: packValue(value, this.hooks, buffers), refs };
  }

  private packOwn(value: object): { tag: string; content: unknown } | null {
    if (value instanceof ObjectRef) {
      const { address } = value;
      this.refs.push(address);
      return { tag: 'object', content: address };
    }
    const state = handleState(value);
    return state && { tag: 'actor', content: state };
  }

  /** `bytes`: those of the object. */
  private unpacked(wire: WireValue, bytes: Uint8Array | null): unknown {
    if (bytes !== null) return objectValue(bytes, this.hooks);
    return 'object' in wire ? undefined : unpackValue(wire.plain, wire.tagged, this.hooks);
  }

  private unpackOwn(tag: string, content: unknown, calls: HandleCalls): unknown {
    if (tag === 'actor') return makeHandle(HandleState.parse(content), calls);
    if (tag !== 'object') return undefined;
    const address = ObjectAddress.parse(content);
    const ref = this.objects.arrived(address);
    const held = this.objects.held(address);
    if (held !== null) this.holds.push(held);
    return ref;
  }
}

async function argumentOf(arg: unknown): Promise<unknown> {
  if (!(arg instanceof ObjectRef)) return arg;
  try {
    return await arg.get();
  } finally {
    arg.release();
  }
}
