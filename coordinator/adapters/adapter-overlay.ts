import { z } from 'zod';
import type { KeyValue } from '../../src/bus/key-value.js';
import { Overloaded } from '../../src/errors.js';
import { ADAPTER_NAME_CHARS } from '../../src/protocol/adapter.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';

/** The operators' changes to a fleet's adapters at run time: one value in the fleet's bucket, which all coordinators read. */

/** Adapters that operators may have loaded, and unloaded, at a time. */
const CHANGED_ADAPTERS = 1_024;
/** Attempts to change the value, which several coordinators may change at once. */
const CHANGE_ATTEMPTS = 16;
const KEY = 'adapters';

const Name = z.string().min(1).max(ADAPTER_NAME_CHARS);
const Overlay = z.strictObject({
  /** Names with their files. */
  loaded: z.array(z.strictObject({ name: Name, file: z.string().min(1).max(256) })).max(CHANGED_ADAPTERS),
  /** Names of files that are not served. */
  unloaded: z.array(Name).max(CHANGED_ADAPTERS),
});
export type Overlay = z.infer<typeof Overlay>;

const NOTHING: Overlay = { loaded: [], unloaded: [] };

export class AdapterOverlay {
  constructor(private readonly kv: KeyValue) {}

  /** Rejects with `Unavailable` if the bucket cannot be reached. A value that cannot be read was written by no member, and counts as none. */
  async read(): Promise<Overlay> {
    const found = await this.kv.get(KEY);
    return (found && readMessage(Overlay, found.value)) ?? NOTHING;
  }

  /**
   * Assigns a file to a name, or, with null, none.
   * @throws Overloaded if there are too many, or others change them too often
   */
  async change(name: string, file: string | null): Promise<Overlay> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
      const found = await this.kv.get(KEY);
      const present = (found && readMessage(Overlay, found.value)) ?? NOTHING;
      const changed = {
        loaded: [...present.loaded.filter((one) => one.name !== name), ...(file === null ? [] : [{ name, file }])],
        unloaded: [...present.unloaded.filter((one) => one !== name), ...(file === null ? [name] : [])],
      };
      if (Math.max(changed.loaded.length, changed.unloaded.length) > CHANGED_ADAPTERS)
        throw new Overloaded(
          `cannot change the adapters: ${CHANGED_ADAPTERS} are changed already; rename files instead`,
        );
      const value = encode(changed);
      if (await (found ? this.kv.update(KEY, value, found.revision) : this.kv.create(KEY, value))) return changed;
    }
    throw new Overloaded('cannot change the adapters: too many clients change them at once; retry later');
  }
}
