import { z } from 'zod';
import { NodeAddress } from '../../actors/envelope.js';
import type { KeyValue } from '../../bus/key-value.js';
import { subjectToken } from '../../bus/subject.js';
import { ACTOR_NAME_CHARS } from '../../limits.js';
import { encode } from '../../wire/msgpack.js';
import { readMessage } from '../../wire/read-message.js';
import { HandleState } from '../client/handle.js';
import { ActorName, InstanceSpec, WireValue } from '../messages.js';

/** The records of actors in the fleet's key-value store: names, detached actors, and the leases of the nodes that have some. */

/** Detached actors of one node. */
export const DETACHED_ACTORS = 4_096;

const Incarnation = z.string().min(1).max(ACTOR_NAME_CHARS);

/** The holder of a name. For a detached actor, also its location and everything needed to create it again. */
const NameRecord = z.strictObject({
  handle: HandleState,
  detached: z
    .strictObject({
      spec: InstanceSpec,
      /** Where it is, or was last. Until a node has adopted it, the process that creates it. */
      node: NodeAddress,
      adopted: z.boolean(),
      epoch: z.int().min(0),
    })
    .nullable(),
});
export type NameRecord = z.infer<typeof NameRecord>;

/** The detached actors of a node. Only the node changes this record, until another process fences the node off for good. */
const NodeLease = z.strictObject({
  beat: z.int().min(0),
  actors: z.array(ActorName).max(DETACHED_ACTORS),
  fencedBy: Incarnation.nullable(),
});
export type NodeLease = z.infer<typeof NodeLease>;

/** The newest checkpoint of a detached actor; null before the first. Each life writes it when it begins, so that the one before cannot any more. */
const StateRecord = z.strictObject({ id: Incarnation, epoch: z.int().min(0), state: WireValue.nullable() });
export type StateRecord = z.infer<typeof StateRecord>;

const AnyRecord = z.union([NameRecord, NodeLease, StateRecord]);

/** A record, and its revision for the compare-and-set. */
export interface Recorded<T> {
  readonly record: T;
  readonly revision: number;
  readonly bytes: number;
}

export class ActorRecords {
  private bucket: Promise<KeyValue> | null = null;

  constructor(private readonly open: () => Promise<KeyValue>) {}

  /** Null: there is none. All methods reject with Unavailable while the store cannot be reached. */
  named(name: ActorName): Promise<Recorded<NameRecord> | null> {
    return this.read(NameRecord, nameKey(name));
  }

  /** Like `setName`, for the record of another actor than before. @throws Overloaded if the store has no room for more actors */
  claimName(name: ActorName, record: NameRecord, before: Recorded<NameRecord> | null): Promise<boolean> {
    return this.grow(record, before, () => this.setName(name, record, before));
  }

  /** Writes the record of a name, if it is still as it was read. Null: there was none. */
  setName(name: ActorName, record: NameRecord, before: Recorded<NameRecord> | null): Promise<boolean> {
    return this.write(nameKey(name), record, before);
  }

  /** Deletes the record of a name, and the state of its actor. */
  async deleteName(name: ActorName): Promise<void> {
    const store = await this.store();
    // A removal leaves a trace, which takes room, also of a key without a value.
    if ((await store.get(stateKey(name))) !== null) await store.delete(stateKey(name));
    await store.delete(nameKey(name));
  }

  state(name: ActorName): Promise<Recorded<StateRecord> | null> {
    return this.read(StateRecord, stateKey(name));
  }

  setState(name: ActorName, state: StateRecord, before: Recorded<StateRecord> | null): Promise<boolean> {
    return this.write(stateKey(name), state, before);
  }

  /** Like `setState`, for a state that may be larger than before. @throws Overloaded if the store has no room for it */
  growState(name: ActorName, state: StateRecord, before: Recorded<StateRecord>): Promise<boolean> {
    return this.grow(state, before, () => this.setState(name, state, before));
  }

  lease(incarnation: string): Promise<Recorded<NodeLease> | null> {
    return this.read(NodeLease, leaseKey(incarnation));
  }

  setLease(incarnation: string, lease: NodeLease, before: Recorded<NodeLease> | null): Promise<boolean> {
    return this.write(leaseKey(incarnation), lease, before);
  }

  private async read<T>(schema: z.ZodType<T>, key: string): Promise<Recorded<T> | null> {
    const entry = await (await this.store()).get(key);
    const record = entry && readMessage(schema, entry.value);
    return entry && record && { record, revision: entry.revision, bytes: entry.value.byteLength };
  }

  private async grow<T>(record: T, before: Recorded<T> | null, write: () => Promise<boolean>): Promise<boolean> {
    const store = await this.store();
    const bytes = encode(record).byteLength - (before?.bytes ?? 0);
    return bytes <= 0 || store.withRoom === undefined ? write() : store.withRoom(bytes, write);
  }

  private async write<T>(key: string, record: T, before: Recorded<T> | null): Promise<boolean> {
    const store = await this.store();
    const value = encode(record);
    if (before !== null) return store.update(key, value, before.revision);
    if (await store.create(key, value)) return true;
    // A value that no version of this program wrote counts as none.
    const entry = await store.get(key);
    return entry !== null && readMessage(AnyRecord, entry.value) === null && store.update(key, value, entry.revision);
  }

  private store(): Promise<KeyValue> {
    this.bucket ??= this.open().catch((error) => {
      this.bucket = null;
      throw error;
    });
    return this.bucket;
  }
}

function nameKey({ namespace, name }: ActorName): string {
  return `name.${subjectToken(namespace)}.${subjectToken(name)}`;
}

function stateKey({ namespace, name }: ActorName): string {
  return `state.${subjectToken(namespace)}.${subjectToken(name)}`;
}

function leaseKey(incarnation: string): string {
  return `lease.${subjectToken(incarnation)}`;
}
