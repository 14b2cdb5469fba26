import { InvalidRequest } from '../../errors.js';
import { NODE_SILENCE_MS } from '../core/node-list.js';
import type { ActorRecords, NameRecord, Recorded } from '../detached/actor-records.js';
import type { RuntimeMember } from '../member/member.js';
import type { ActorName } from '../messages.js';
import type { HandleState } from './handle.js';

/** Names of actors, unique in their namespace: recorded in the fleet's key-value store by compare-and-set. */

/** Claimed by this process, or taken already, with the holder's handle. */
export type Claim = { readonly type: 'claimed' } | { readonly type: 'taken'; readonly handle: HandleState };

export class ActorNames {
  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
  ) {}

  /** The actor of that name; null if there is none, or if its owner is gone. Rejects with Unavailable while the store cannot be reached. */
  async find(name: ActorName): Promise<HandleState | null> {
    const recorded = await this.records.named(name);
    return recorded && (await this.living(recorded));
  }

  /** Gives the name to an actor, unless a living one has it. Of concurrent claims, one succeeds. @throws Overloaded if the store is nearly full */
  async claim(name: ActorName, record: NameRecord): Promise<Claim> {
    for (;;) {
      const recorded = await this.records.named(name);
      const living = recorded && (await this.living(recorded));
      if (living) return { type: 'taken', handle: living };
      if (await this.records.claimName(name, record, recorded)) return { type: 'claimed' };
    }
  }

  /** Frees the name, if this actor has it. */
  async release(name: ActorName, id: string): Promise<void> {
    const recorded = await this.records.named(name);
    if (recorded?.record.handle.id === id) await this.records.deleteName(name);
  }

  /** A detached actor lives as long as its record; any other actor lives as long as its owner. */
  private async living({ record: { handle } }: Recorded<NameRecord>): Promise<HandleState | null> {
    if (handle.owner === null) return handle;
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
}

/** @throws InvalidRequest for a name that is too short or too long */
export function checkName(field: string, name: string): string {
  if (name.length >= 1 && name.length <= 64) return name;
  throw new InvalidRequest(`${field}: must have 1 to 64 characters, got ${name.length}`, field);
}
