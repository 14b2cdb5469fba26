import type { KeyValue, KeyValueEntry } from '../../src/bus/key-value.js';
import type { Tenant } from '../../src/core/fair-shares.js';
import type { Salt } from '../../src/core/salt.js';
import { Overloaded, Unavailable } from '../../src/errors.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import { packTokens, unpackTokens } from '../../src/protocol/generate.js';
import type { Random } from '../../src/random.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import {
  ORIGIN_CHARS,
  ORIGINS,
  RETAINED_TOKENS,
  RETENTIONS,
  RetainedPrompt,
  type Retention,
  RetentionList,
} from './retention.js';

/**
 * The retentions of a fleet in a key-value bucket: one value with the list of all, and one value for each prompt, in numbered slots that are used
 * again. The transport seals the values.
 */

/** Attempts to change the list, which several coordinators may change at once. */
const CHANGE_ATTEMPTS = 16;
/** Slots that one `sync` compares with the prompts that this process knows: all 512 within about a minute. */
const SLOTS_PER_SYNC = 8;
const LIST = 'list';

/** The value of a slot that has no prompt. */
const ERASED = new Uint8Array(0);

/** A prompt as it was pinned. */
export interface StoredPrompt {
  readonly tokens: Uint32Array;
  readonly salt: Salt | null;
  /** The tenant whose share of the workers' time it uses; null for none. */
  readonly tenant: Tenant | null;
  /** The adapter with which it is computed. Default: none. */
  readonly adapter?: AdapterRef | null | undefined;
}

/** A list with the origins that it descends from: none if it was not founded yet. */
interface KnownList {
  readonly origins: readonly string[];
  readonly retentions: readonly Retention[];
}

/** The list as it was found; `revision` is null if the bucket has none. */
interface StoredList extends KnownList {
  readonly revision: number | null;
}

const NO_LIST: KnownList = { origins: [], retentions: [] };

export class RetentionStore {
  /** Prompts that were read, by retention. */
  private readonly prompts = new Map<string, StoredPrompt>();

  /** The list as this process read or wrote it last. */
  private last = NO_LIST;
  /** How many slots were compared so far. */
  private compared = 0;

  constructor(
    private readonly kv: KeyValue,
    private readonly random: Random,
  ) {}

  /** All retentions, oldest first. Rejects with `Unavailable` if the bucket cannot be reached. */
  async list(): Promise<readonly Retention[]> {
    const found = await this.load();
    this.remember(found);
    return found.retentions;
  }

  /** Lists all retentions, caches their prompts, and puts back those that NATS has lost; call it every second. */
  async sync(): Promise<readonly Retention[]> {
    const found = await this.load();
    const { retentions } = found;
    this.remember(found);
    for (const retention of retentions) await this.prompt(retention);
    for (let i = Math.min(SLOTS_PER_SYNC, retentions.length); i > 0; i--)
      await this.keepPrompt(retentions[this.compared++ % retentions.length]!);
    return retentions;
  }

  /**
   * Changes the list. `edit` may be called several times; it returns the new list, or null to leave it. Resolves with the list as it then is.
   * @throws Overloaded if others change it too often; the errors of `edit`
   */
  async change(edit: (present: readonly Retention[]) => readonly Retention[] | null): Promise<readonly Retention[]> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
      const found = await this.load();
      const changed = edit(found.retentions);
      if (changed === null) return found.retentions;
      const origins = found.origins.length > 0 ? found.origins : [this.newOrigin()];
      if (await this.write({ origins, retentions: changed }, found.revision)) return changed;
    }
    throw contended();
  }

  /** Writes the prompt of a retention that is in the list. */
  async writePrompt({ id, slot }: Retention, prompt: StoredPrompt): Promise<void> {
    if (!(await this.put(slot, encode(retainedPrompt(id, prompt))))) {
      throw new Unavailable('cannot store the pin: another coordinator wrote to its slot; retry');
    }
    this.prompts.set(id, prompt);
  }

  /** The prompt of a retention; null if it was erased or not written yet. */
  async prompt({ id, slot }: Retention): Promise<StoredPrompt | null> {
    const known = this.prompts.get(id);
    if (known !== undefined) return known;
    const found = await this.kv.get(slotKey(slot));
    const stored = found && readMessage(RetainedPrompt, found.value);
    if (stored?.id !== id) return null;
    const prompt = storedPrompt(stored);
    this.prompts.set(id, prompt);
    return prompt;
  }

  /** The prompt of a retention, if it was read before. */
  known(id: string): StoredPrompt | null {
    return this.prompts.get(id) ?? null;
  }

  /** Removes retentions with their prompts. Missing ones are ignored. */
  async remove(retentions: readonly Retention[]): Promise<void> {
    if (retentions.length === 0) return;
    for (const retention of retentions) await this.erasePrompt(retention);
    const ids = new Set(retentions.map(({ id }) => id));
    await this.change((present) => {
      const left = present.filter(({ id }) => !ids.has(id));
      return left.length === present.length ? null : left;
    });
    // Another coordinator may have put a prompt back while its retention was in the list.
    for (const retention of retentions) await this.erasePrompt(retention);
  }

  /** Puts the prompt of a listed retention back if its slot does not have it. */
  private async keepPrompt(retention: Retention): Promise<void> {
    const { id, slot } = retention;
    const known = this.prompts.get(id);
    if (known === undefined) return;
    const found = await this.kv.get(slotKey(slot));
    if (found !== null && readMessage(RetainedPrompt, found.value)?.id === id) return;
    // The slot may have got another prompt since the list was read.
    if (!(await this.isListed(retention))) return;
    if ((await this.put(slot, encode(retainedPrompt(id, known)), found)) && !(await this.isListed(retention)))
      await this.erasePrompt(retention);
  }

  private async isListed({ id, slot }: Retention): Promise<boolean> {
    const { retentions } = await this.read();
    return retentions.some((each) => each.id === id && each.slot === slot);
  }

  /** Another retention may have got the slot meanwhile: the comparison spares its prompt. */
  private async erasePrompt({ id, slot }: Retention): Promise<void> {
    const found = await this.kv.get(slotKey(slot));
    if (found === null || readMessage(RetainedPrompt, found.value)?.id !== id) return;
    await this.kv.update(slotKey(slot), ERASED, found.revision);
  }

  /**
   * Reads the list. If NATS lost the list that this process knew, first restores it: alone, or together with pins that others have made since without
   * knowing of it.
   */
  private async load(): Promise<StoredList> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
      const found = await this.read();
      if (this.last.retentions.length === 0 || this.last.origins.every((origin) => found.origins.includes(origin)))
        return found;
      await this.putBack(found);
    }
    throw contended();
  }

  /** The list comes first, so that no prompt gets a slot that another coordinator takes. Other coordinators may do the same at once. */
  private async putBack(found: StoredList): Promise<void> {
    const { last } = this;
    const restored = restoredBeside(found.retentions, last.retentions);
    const origins = [...new Set([...found.origins, ...last.origins])].slice(-ORIGINS);
    const retentions = [...found.retentions, ...restored].sort((a, b) => a.createdMs - b.createdMs);
    if (!(await this.write({ origins, retentions }, found.revision))) return;
    for (const { id, slot } of restored) {
      const prompt = this.prompts.get(id);
      if (prompt !== undefined) await this.put(slot, encode(retainedPrompt(id, prompt)));
    }
  }

  /** False if another process has changed the list since it had this revision. */
  private async write(list: KnownList, revision: number | null): Promise<boolean> {
    const value = encode(list);
    const written = revision === null ? this.kv.create(LIST, value) : this.kv.update(LIST, value, revision);
    if (!(await written)) return false;
    this.last = list;
    return true;
  }

  private newOrigin(): string {
    return Buffer.from(this.random.bytes(ORIGIN_CHARS / 2)).toString('hex');
  }

  /** False if another process has changed the value since it was `before`. */
  private async put(slot: number, value: Uint8Array, before?: KeyValueEntry | null): Promise<boolean> {
    const found = before === undefined ? await this.kv.get(slotKey(slot)) : before;
    return found ? this.kv.update(slotKey(slot), value, found.revision) : this.kv.create(slotKey(slot), value);
  }

  /** A list that cannot be read was written by no member, or by a fleet with another secret: it counts as empty. */
  private async read(): Promise<StoredList> {
    const found = await this.kv.get(LIST);
    const list = (found && readMessage(RetentionList, found.value)) ?? NO_LIST;
    return { ...list, revision: found?.revision ?? null };
  }

  private remember({ origins, retentions }: KnownList): void {
    this.last = { origins, retentions };
    const ids = new Set(retentions.map(({ id }) => id));
    for (const id of this.prompts.keys()) if (!ids.has(id)) this.prompts.delete(id);
  }
}

function storedPrompt({ tokens, salt, tenant, adapter }: RetainedPrompt): StoredPrompt {
  return { tokens: unpackTokens(tokens), salt, tenant, adapter };
}

/** Coordinators of earlier versions read prompts without an adapter. */
function retainedPrompt(id: string, { tokens, salt, tenant, adapter }: StoredPrompt): RetainedPrompt {
  return { id, tokens: packTokens(tokens), salt, tenant, ...(adapter ? { adapter } : {}) };
}

function contended(): Overloaded {
  return new Overloaded('cannot change the pins: too many clients change them at once; retry later');
}

/** The lost retentions that are not present and for which there is room, each in a free slot. */
function restoredBeside(present: readonly Retention[], lost: readonly Retention[]): Retention[] {
  const restored: Retention[] = [];
  let tokens = present.reduce((sum, each) => sum + each.tokens, 0);
  for (const retention of lost) {
    const others = [...present, ...restored];
    const slot = others.some((each) => each.slot === retention.slot) ? freeSlot(others) : retention.slot;
    const known = present.some(({ id }) => id === retention.id);
    if (known || slot === null || tokens + retention.tokens > RETAINED_TOKENS) continue;
    tokens += retention.tokens;
    restored.push({ ...retention, slot });
  }
  return restored;
}

/** The lowest slot that no retention has; null if all are taken. */
export function freeSlot(present: readonly Retention[]): number | null {
  const taken = new Set(present.map(({ slot }) => slot));
  for (let slot = 0; slot < RETENTIONS; slot++) if (!taken.has(slot)) return slot;
  return null;
}

function slotKey(slot: number): string {
  return `prompt-${slot}`;
}
