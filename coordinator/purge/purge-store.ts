import type { KeyValue } from '../../src/bus/key-value.js';
import { Overloaded } from '../../src/errors.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import {
  INCOMPLETE_PURGES_PER_OWNER,
  isComplete,
  PURGE_KEPT_MS,
  PURGES,
  PURGES_FOR_OPERATORS,
  Purge,
  PurgeList,
} from './purge.js';

/**
 * The purges of a fleet in a key-value bucket: a list of all, and a value for each. Any writer of the bucket can remove them, so this process
 * keeps a copy of each, and puts lost ones back.
 */

const LIST = 'purges';
/** Attempts to change a value, which several coordinators may change at once. */
const CHANGE_ATTEMPTS = 16;

type Listed = PurgeList['purges'][number];

export class PurgeStore {
  /** As this process read or wrote them last. */
  private readonly known = new Map<string, Purge>();

  constructor(
    private readonly kv: KeyValue,
    private readonly wallMs: () => number,
  ) {}

  /** The purges that are remembered, oldest first. Rejects with `Unavailable` if the bucket cannot be reached. */
  async list(): Promise<readonly Listed[]> {
    const nowMs = this.wallMs();
    return (await this.read()).purges.filter(({ createdMs }) => nowMs - createdMs < PURGE_KEPT_MS);
  }

  /** Lists the purges, after putting back those that were lost since this process knew of them; call it regularly. */
  async sync(): Promise<readonly Listed[]> {
    const listed = await this.list();
    for (const { id, complete } of listed) {
      const known = this.known.get(id);
      if (known === undefined || !complete || !isComplete(known)) this.note(await this.get(id));
    }
    const nowMs = this.wallMs();
    for (const [id, purge] of this.known) {
      // Only a full list forgets younger ones.
      const isForgotten = listed.length >= PURGES && listed.every((each) => each.id !== id);
      if (isForgotten || nowMs - purge.createdMs >= PURGE_KEPT_MS) this.known.delete(id);
      else await this.putBack(purge, listed);
    }
    return this.list();
  }

  async get(id: string): Promise<Purge | null> {
    const found = await this.kv.get(keyOf(id));
    return found && readMessage(Purge, found.value);
  }

  /** @throws Overloaded if too many purges are incomplete, of its tenant or in total */
  async add(purge: Purge): Promise<void> {
    await this.kv.create(keyOf(purge.id), encode(purge));
    const { id, owner, createdMs } = purge;
    const gone: string[] = [];
    await this.changeList((purges) => {
      gone.length = 0;
      const nowMs = this.wallMs();
      const kept = withPlaceFor(
        owner,
        purges.filter((each) => nowMs - each.createdMs < PURGE_KEPT_MS),
      );
      gone.push(...purges.filter((each) => !kept.includes(each)).map((each) => each.id));
      return [...kept, { id, owner, createdMs, complete: isComplete(purge) }];
    }).catch(async (error: unknown) => {
      await this.kv.delete(keyOf(id));
      throw error;
    });
    this.note(purge);
    for (const each of gone) await this.kv.delete(keyOf(each));
  }

  /** Changes a purge. Resolves with it as it then is, and null if it is not remembered. `edit` may be called several times. */
  async change(id: string, edit: (purge: Purge) => Purge): Promise<Purge | null> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
      const found = await this.kv.get(keyOf(id));
      const purge = found && readMessage(Purge, found.value);
      if (found === null || purge === null) return null;
      const changed = edit(purge);
      if (!(await this.kv.update(keyOf(id), encode(changed), found.revision))) continue;
      const complete = isComplete(changed);
      await this.changeList((purges) => purges.map((each) => (each.id === id ? { ...each, complete } : each)));
      this.note(changed);
      return changed;
    }
    throw contended();
  }

  private note(purge: Purge | null): void {
    if (purge !== null) this.known.set(purge.id, purge);
  }

  /** Restores what is missing of a purge. Other coordinators may do the same at once. */
  private async putBack(purge: Purge, listed: readonly Listed[]): Promise<void> {
    const { id, owner, createdMs } = purge;
    const found = await this.kv.get(keyOf(id));
    if (found === null) await this.kv.create(keyOf(id), encode(purge));
    else if (readMessage(Purge, found.value) === null) await this.kv.update(keyOf(id), encode(purge), found.revision);
    if (listed.some((each) => each.id === id)) return;
    await this.changeList((purges) => {
      const isThere = purges.some((each) => each.id === id) || purges.length >= PURGES;
      return isThere ? purges : [...purges, { id, owner, createdMs, complete: isComplete(purge) }];
    });
  }

  private async changeList(edit: (purges: readonly Listed[]) => readonly Listed[]): Promise<void> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
      const found = await this.kv.get(LIST);
      const purges = [...edit((found && readMessage(PurgeList, found.value))?.purges ?? [])];
      const value = encode({ purges } satisfies PurgeList);
      if (await (found ? this.kv.update(LIST, value, found.revision) : this.kv.create(LIST, value))) return;
    }
    throw contended();
  }

  private async read(): Promise<PurgeList> {
    const found = await this.kv.get(LIST);
    return (found && readMessage(PurgeList, found.value)) ?? { purges: [] };
  }
}

/**
 * The purges that stay when one more of this owner comes. If there are too many, the oldest complete one of the owner with most purges is dropped, so
 * that no tenant can displace the purges of others.
 */
function withPlaceFor(owner: string | null, purges: readonly Listed[]): readonly Listed[] {
  const incomplete = purges.filter((each) => each.owner === owner && !each.complete).length;
  if (owner !== null && incomplete >= INCOMPLETE_PURGES_PER_OWNER) {
    throw new Overloaded(
      `cannot take the purge: ${incomplete} purges of this tenant wait for workers that are away; retry later`,
    );
  }
  const waiting = purges.filter((each) => !each.complete).length;
  if (owner !== null && waiting >= PURGES - PURGES_FOR_OPERATORS) throw tooMany(waiting);
  if (purges.length < PURGES) return purges;
  const countOf = (of: string | null) => purges.filter((each) => each.owner === of).length;
  const complete = purges.filter((each) => each.complete);
  const most = Math.max(...complete.map((each) => countOf(each.owner)));
  const forgotten = complete.find((each) => countOf(each.owner) === most);
  if (forgotten === undefined) throw tooMany(waiting);
  return purges.filter((each) => each !== forgotten);
}

function tooMany(waiting: number): Overloaded {
  return new Overloaded(`cannot take the purge: ${waiting} purges wait for workers that are away; retry later`);
}

function keyOf(id: string): string {
  return `purge-${id}`;
}

function contended(): Overloaded {
  return new Overloaded('cannot change the purges: too many coordinators change them at once; retry later');
}
