import { holds, type ObjectInfo } from '../../../../src/objects/object.js';
import type { ObjectName } from '../../../../src/objects/object-name.js';
import type { ObjectValue } from '../../../../src/objects/object-value.js';
import type { Objects } from '../../../../src/objects/objects.js';

/** The objects of a fleet in this process, as far as stored answers need them. They expire by the given clock. */
export class MemoryObjects implements Pick<Objects, 'get' | 'put' | 'remove'> {
  /** By space and key. */
  readonly all = new Map<string, { readonly info: ObjectInfo; readonly value: ObjectValue }>();
  /** Rejects the next writes. */
  refusal: Error | null = null;
  private writes = 0;

  constructor(private readonly wallMs: () => number) {}

  get: Objects['get'] = async (name) => {
    const found = this.find(name);
    return found === null ? { type: 'absent' } : { type: 'here', info: found.info, value: found.value.hold() };
  };

  put: Objects['put'] = async (name, value, { contentType, fields, expiry, condition }) => {
    if (this.refusal !== null) throw this.refusal;
    const before = this.find(name)?.info ?? null;
    if (!holds(condition, before)) return { type: 'unmet', info: before };
    const info: ObjectInfo = {
      ...{ contentType, fields, token: '', bytes: value.bytes, digest: value.digest },
      version: { at: ++this.writes, writer: 'w1' },
      expiresAtMs: expiry.kind === 'at' ? expiry.atMs : null,
    };
    this.all.set(keyOf(name), { info, value: value.hold() });
    return { type: 'written', info, created: before === null };
  };

  remove: Objects['remove'] = async (name, condition) => {
    const info = this.find(name)?.info ?? null;
    if (info === null || !holds(condition, info)) return { type: 'unmet', info };
    this.all.delete(keyOf(name));
    return { type: 'written', info, created: false };
  };

  private find(name: ObjectName) {
    const found = this.all.get(keyOf(name)) ?? null;
    return found !== null && (found.info.expiresAtMs ?? Number.POSITIVE_INFINITY) > this.wallMs() ? found : null;
  }
}

function keyOf({ space, key }: ObjectName): string {
  return `${space} ${key.toString()}`;
}
