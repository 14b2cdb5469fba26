import { z } from 'zod';
import { ask, type Behavior, defineProtocol, stream, tell } from '../../actors/protocol.js';
import { Corrupt, InternalError, InvalidRequest, Overloaded, ShoalError, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { ACTOR_NAME_CHARS, CALLS_IN_FLIGHT } from '../../limits.js';
import { mapSharedFile } from '../../native/shared-file.js';
import { ReferenceCount } from '../core/reference-count.js';
import { ObjectLost } from '../errors.js';
import type { RuntimeMember } from '../member/member.js';
import type { ObjectPieces } from './object-layout.js';
import { ObjectMemory, type ObjectMemoryOptions, SHARED_BYTES } from './object-memory.js';
import { type ObjectAccess, type ObjectAddress, ObjectRef } from './object-ref.js';

/** The objects that this process owns, and its references to other processes' objects. Bytes travel over direct connections only. */

/**
 * How long a reference that was sent keeps its object beyond what else keeps it: the time in which the receiver's reference must reach the owner. The
 * arguments of a call are kept while the call is open, even while it is queued, and for this time after it if it had no answer.
 */
const SENT_MS = 30_000;
const TICK_MS = 1_000;
/** Bytes in one message of a transfer. */
const PART_BYTES = 512 * 1024;
/** Limit on one object. */
const OBJECT_BYTES = 2 ** 32;
const OBJECTS_ACTOR = 'shoal-objects';

const One = z.strictObject({ id: z.string().min(1).max(ACTOR_NAME_CHARS) });

const Place = z.strictObject({
  pid: z.int().min(1),
  fileDescriptor: z.int().min(0),
  token: z.string().regex(/^[0-9a-f]{32}$/),
});

/** What other processes ask of an owner of objects. */
const ObjectsProtocol = defineProtocol('shoal-objects', {
  hold: ask(One, z.strictObject({ known: z.boolean() })),
  release: tell(One),
  /** The only receiver of an object that was made for one message has it. */
  received: tell(One),
  /** Where a process of the same host finds the bytes; null if they have to be read. */
  share: ask(One.extend({ hostId: z.string().max(ACTOR_NAME_CHARS) }), z.strictObject({ place: Place.nullable() })),
  read: stream(
    One,
    z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  ),
});

export interface ProcessObjectsOptions extends Omit<ObjectMemoryOptions, 'log' | 'random'> {
  /** Default: 30 s. @internal for tests. */
  readonly sentMs?: number;
}

/** References of this process to one object of another. */
interface Borrowed {
  count: number;
  readonly held: Promise<boolean>;
}

export class ProcessObjects implements ObjectAccess {
  private readonly store: ObjectMemory;
  private readonly counts = new ReferenceCount();
  private readonly borrowed = new Map<string, Borrowed>();
  private readonly garbage = new FinalizationRegistry<ObjectAddress>((address) => this.release(address));
  /** References in the values of own objects: those objects keep them. */
  private readonly contents = new Map<string, readonly ObjectAddress[]>();
  private readonly sentMs: number;
  private lastId = 0;
  /** The value of an object's bytes; set once, since values contain references in turn. */
  private unpack: (bytes: Uint8Array) => unknown = () => {
    throw new InternalError('no value can be unpacked yet');
  };

  constructor(
    private readonly member: RuntimeMember,
    { sentMs = SENT_MS, ...options }: ProcessObjectsOptions,
  ) {
    this.sentMs = sentMs;
    this.store = new ObjectMemory({
      ...options,
      log: member.options.log,
      random: member.options.surroundings.random,
    });
  }

  /** Objects that this process owns, and their bytes in memory. */
  get stats(): { readonly objects: number; readonly memoryBytes: number; readonly borrowed: number } {
    return { objects: this.store.count, memoryBytes: this.store.memoryBytes, borrowed: this.borrowed.size };
  }

  unpackBy(unpack: (bytes: Uint8Array) => unknown): void {
    this.unpack = unpack;
  }

  async start(life: Lifecycle): Promise<void> {
    const { member } = this;
    const behavior: Behavior<typeof ObjectsProtocol> = {
      hold: ({ id }, { incarnation }) => ({ known: this.counts.hold(id, incarnation) }),
      release: ({ id }, { incarnation }) => this.end(this.counts.release(id, incarnation, this.nowMs)),
      received: ({ id }) => this.end(this.counts.received(id, this.nowMs)),
      share: ({ id, hostId }) => ({ place: hostId === this.hostId ? this.store.placeOf(id) : null }),
      read: ({ id }, { incarnation }) => this.parts(id, incarnation),
    };
    const options = { concurrency: CALLS_IN_FLIGHT, mailbox: CALLS_IN_FLIGHT, listed: false };
    await member.actors.spawn(ObjectsProtocol, OBJECTS_ACTOR, () => behavior, options);
    life.use(this.store, (store) => store.close());
    const ticking = member.options.clock.every(TICK_MS, () => this.end(this.counts.tick(this.nowMs)));
    life.use(ticking, (timer) => timer.cancel());
    const unlisten = member.directory.listen(({ type, node }) => {
      if (type === 'left' || type === 'gone') this.end(this.counts.gone(node.incarnation, this.nowMs));
    });
    life.use(unlisten, (end) => end());
  }

  /**
   * Stores a copy of the bytes of a value, and gives a reference to them. `refs`: the references in the value.
   * @throws Overloaded if they do not fit
   */
  put<T>(object: ObjectPieces, refs: readonly ObjectAddress[]): ObjectRef<T> {
    return this.tracked(this.add(object, refs));
  }

  /** Stores the bytes of a value in one message. To be released once the call is over. @throws Overloaded */
  add(object: ObjectPieces, refs: readonly ObjectAddress[]): ObjectAddress {
    if (object.byteLength > OBJECT_BYTES) {
      throw new InvalidRequest(`a value has ${object.byteLength} bytes; at most ${OBJECT_BYTES} are allowed`);
    }
    const id = `${this.member.self.incarnation}-${++this.lastId}`;
    this.store.put(id, object);
    this.counts.add(id, this.own);
    if (refs.length > 0) this.contents.set(id, this.keepAll(refs));
    return { id, owner: this.member.self, bytes: object.byteLength };
  }

  async copyOf(address: ObjectAddress): Promise<Uint8Array> {
    if (!this.isOwn(address)) return (await this.map(address)) ?? this.fetch(address);
    const bytes = await this.store.copyOf(address.id);
    if (bytes === null) throw lost(address.id, 'it has been released');
    return bytes;
  }

  /** A reference that came in a message. */
  arrived<T>(address: ObjectAddress): ObjectRef<T> {
    this.hold(address);
    return this.tracked(address);
  }

  /** Resolves when the owner counts this process for a reference that has just arrived, or when it cannot; null if this process is the owner. */
  held(address: ObjectAddress): Promise<unknown> | null {
    return this.borrowed.get(address.id)?.held ?? null;
  }

  /** A reference came in the one message for which its object was made: from now on this process alone keeps the object. */
  taken(address: ObjectAddress): void {
    if (this.isOwn(address)) this.received(address);
    else void this.borrowed.get(address.id)?.held.then((held) => held && this.received(address));
  }

  /** References go into a message that is open for a time. Returns them, for `letGoAll`. */
  keepAll(refs: readonly ObjectAddress[]): readonly ObjectAddress[] {
    for (const address of refs) this.hold(address);
    return refs;
  }

  /** Releases references after their call. `isOver`: no reference of the receiver is in transit. */
  letGoAll(refs: readonly ObjectAddress[], isOver: boolean): void {
    for (const address of refs) {
      if (!isOver) this.sent(address);
      this.release(address, isOver);
    }
  }

  /** A reference goes into a message. The object is kept for `SENT_MS`, so that the receiver can take its own reference. */
  sent(address: ObjectAddress): void {
    if (this.isOwn(address)) {
      this.counts.sent(address.id, this.nowMs + this.sentMs);
      return;
    }
    this.hold(address);
    this.member.options.clock.after(this.sentMs, () => this.release(address));
  }

  /** This process needs an object no longer that was made for one message to it. */
  received(address: ObjectAddress): void {
    if (this.isOwn(address)) this.end(this.counts.received(address.id, this.nowMs));
    else this.owner(address).tell('received', { id: address.id });
  }

  /** `isOver`: no process that has read the object waits for its owner to count a reference in it. */
  release(address: ObjectAddress, isOver = false): void {
    const { id } = address;
    if (this.isOwn(address)) {
      this.end(this.counts.release(id, this.own, this.nowMs), isOver);
      return;
    }
    const borrowed = this.borrowed.get(id);
    if (!borrowed || --borrowed.count > 0) return;
    this.borrowed.delete(id);
    void borrowed.held.then((held) => held && this.owner(address).tell('release', { id }));
  }

  track(ref: object, address: ObjectAddress): void {
    this.garbage.register(ref, address, ref);
  }

  forgetGarbage(ref: object): void {
    this.garbage.unregister(ref);
  }

  private tracked<T>(address: ObjectAddress): ObjectRef<T> {
    const ref = new ObjectRef<T>(address, this, (bytes) => this.unpack(bytes));
    this.track(ref, address);
    return ref;
  }

  private hold(address: ObjectAddress): void {
    const { id } = address;
    if (this.isOwn(address)) {
      this.counts.hold(id, this.own);
      return;
    }
    const borrowed = this.borrowed.get(id);
    if (borrowed) borrowed.count++;
    else this.borrowed.set(id, { count: 1, held: this.holdAt(address) });
  }

  /** Whether the owner counts this process now. */
  private async holdAt(address: ObjectAddress): Promise<boolean> {
    try {
      await this.member.linked(address.owner);
      return (await this.owner(address).ask('hold', { id: address.id })).known;
    } catch {
      return false;
    }
  }

  /** The bytes of a large object of a process of this host, without a copy; null if they have to be fetched. */
  private async map(address: ObjectAddress): Promise<Uint8Array | null> {
    const { id, owner, bytes } = address;
    if (bytes < SHARED_BYTES) return null;
    await this.member.linked(owner);
    if (!this.member.isLinked(owner)) return null;
    try {
      const { place } = await this.owner(address).ask('share', { id, hostId: this.hostId });
      return place && mapSharedFile(place, bytes);
    } catch (error) {
      if (error instanceof ShoalError) return null;
      throw error;
    }
  }

  private async fetch(address: ObjectAddress): Promise<Uint8Array> {
    const { id, owner, bytes: length } = address;
    await this.member.linked(owner);
    if (this.member.directory.get(owner.incarnation) === null) throw lost(id, `its owner ${owner.node} is gone`);
    if (!this.member.isLinked(owner)) {
      throw new Unavailable(
        `cannot read the object ${id}: there is no direct connection to ${owner.node}; start that node with a --peer-host at which this process reaches it`,
      );
    }
    const bytes = allocate(length);
    let at = 0;
    try {
      for await (const part of this.owner(address).stream('read', { id })) {
        if (at + part.byteLength > length) throw new Corrupt(`the object ${id} is longer than its reference says`);
        bytes.set(part, at);
        at += part.byteLength;
      }
    } catch (error) {
      throw error instanceof Unavailable ? lost(id, error.message) : error;
    }
    if (at !== length) throw new Corrupt(`the object ${id} is shorter than its reference says`);
    return bytes;
  }

  /** The object stays while it is read, however long that takes. */
  private async *parts(id: string, reader: string): AsyncGenerator<Uint8Array> {
    const isHeld = this.counts.hold(id, reader);
    try {
      const length = this.store.lengthOf(id);
      for (let from = 0; length === null || from < length; from += PART_BYTES) {
        const part = length === null ? null : await this.store.read(id, from, Math.min(from + PART_BYTES, length));
        if (part === null) throw new Unavailable(`${this.member.self.node} does not have the object ${id}`);
        yield part;
      }
    } finally {
      if (isHeld) this.end(this.counts.release(id, reader, this.nowMs));
    }
  }

  private owner({ owner }: ObjectAddress) {
    return this.member.actors.ref(ObjectsProtocol, { ...owner, actor: OBJECTS_ACTOR });
  }

  private isOwn({ owner }: ObjectAddress): boolean {
    return owner.incarnation === this.member.self.incarnation;
  }

  private end(ids: readonly string[], isOver = false): void {
    for (const id of ids) {
      this.store.delete(id);
      const refs = this.contents.get(id) ?? [];
      this.contents.delete(id);
      this.letGoAll(refs, isOver);
    }
  }

  private get hostId(): string {
    return this.member.options.surroundings.hostId;
  }

  private get own(): string {
    return this.member.self.incarnation;
  }

  private get nowMs(): number {
    return this.member.options.clock.now();
  }
}

function lost(id: string, why: string): ObjectLost {
  return new ObjectLost(`the object ${id} is lost: ${why}`);
}

function allocate(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new Overloaded(`cannot allocate ${bytes} bytes for an object`, { cause });
  }
}
