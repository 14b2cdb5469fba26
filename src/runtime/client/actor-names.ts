import { z } from 'zod';
import type { KeyValue, KeyValueEntry } from '../../bus/key-value.js';
import { subjectToken } from '../../bus/subject.js';
import { InvalidRequest } from '../../errors.js';
import { encode } from '../../wire/msgpack.js';
import { readMessage } from '../../wire/read-message.js';
import { NODE_SILENCE_MS } from '../core/node-list.js';
import type { RuntimeMember } from '../member/member.js';
import { HandleState } from './handle.js';

/** Names of actors, unique in their namespace: recorded in the fleet's key-value store by compare-and-set. */

const NameRecord = z.strictObject({ handle: HandleState });

/** A name as a user gives it. */
export interface ActorName {
  readonly namespace: string;
  readonly name: string;
}

/** Claimed by this process, or by whom it was found taken. */
export type Claim = { readonly type: 'claimed' } | { readonly type: 'taken'; readonly handle: HandleState };

export class ActorNames {
  private bucket: KeyValue | null = null;

  constructor(
    private readonly member: RuntimeMember,
    private readonly open: () => Promise<KeyValue>,
  ) {}

  /** The actor of that name; null if there is none, or if its owner is gone. Rejects with Unavailable while the store cannot be reached. */
  async find(name: ActorName): Promise<HandleState | null> {
    const entry = await (await this.store()).get(keyOf(name));
    return entry && (await this.living(entry));
  }

  /** Gives the name to an actor, unless a living one has it. Of concurrent claims, one succeeds. */
  async claim(name: ActorName, handle: HandleState): Promise<Claim> {
    const store = await this.store();
    const key = keyOf(name);
    const value = encode({ handle });
    for (;;) {
      const entry = await store.get(key);
      const living = entry && (await this.living(entry));
      if (living) return { type: 'taken', handle: living };
      if (entry ? await store.update(key, value, entry.revision) : await store.create(key, value))
        return { type: 'claimed' };
    }
  }

  /** Frees the name, if this actor has it. */
  async release(name: ActorName, id: string): Promise<void> {
    const store = await this.store();
    const entry = await store.get(keyOf(name));
    if (entry && recordOf(entry)?.id === id) await store.delete(keyOf(name));
  }

  private async living(entry: KeyValueEntry): Promise<HandleState | null> {
    const handle = recordOf(entry);
    if (!handle?.owner) return handle;
    return (await this.hears(handle.owner.incarnation)) ? handle : null;
  }

  /** Whether a process is a member. One that has just started may not have heard of it yet. */
  private async hears(incarnation: string): Promise<boolean> {
    const { directory, options } = this.member;
    if (directory.get(incarnation)) return true;
    return new Promise((resolve) => {
      const done = (heard: boolean) => {
        timer.cancel();
        end();
        resolve(heard);
      };
      const timer = options.clock.after(NODE_SILENCE_MS, () => done(directory.get(incarnation) !== null));
      const end = directory.onAnnounced(() => {
        if (directory.get(incarnation)) done(true);
      });
    });
  }

  private async store(): Promise<KeyValue> {
    this.bucket ??= await this.open();
    return this.bucket;
  }
}

function recordOf({ value }: KeyValueEntry): HandleState | null {
  return readMessage(NameRecord, value)?.handle ?? null;
}

function keyOf({ namespace, name }: ActorName): string {
  return `name.${subjectToken(namespace)}.${subjectToken(name)}`;
}

/** @throws InvalidRequest for a name that is no key */
export function checkName(field: string, name: string): string {
  if (name.length >= 1 && name.length <= 64) return name;
  throw new InvalidRequest(`${field}: has ${name.length} characters; must have 1 to 64`, field);
}
