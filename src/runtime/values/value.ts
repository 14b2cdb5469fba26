import { InvalidRequest } from '../../errors.js';

/**
 * Users' values in messages: MessagePack's types, and dates, maps, sets, bigints, regular expressions, errors, typed arrays, handles of actors
 * and references to objects. The latter travel as maps with the key `$`. Packing copies, so that both sides may change their values.
 */

/** A value in plain form. `tagged`: it contains maps with the key `$`, which `unpack` has to revive. */
export interface PackedValue {
  readonly plain: unknown;
  readonly tagged: boolean;
  /** About the bytes that it takes in a message. */
  readonly bytes: number;
}

/** Packs and revives what belongs to the process: handles and references. */
export interface ValueHooks {
  /** The tag and content of an object that this process knows; null for any other. */
  pack(value: object): { readonly tag: string; readonly content: unknown } | null;
  /** Revives what `pack` packed elsewhere. Undefined for an unknown tag. */
  unpack(tag: string, content: unknown): unknown;
}

export const NO_HOOKS: ValueHooks = { pack: () => null, unpack: () => undefined };

/** Limit on the nesting of a value. Messages add a few levels around it. */
const DEPTH = 20;
const TAG = '$';
/** Half of a surrogate pair has no form in UTF-8. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Byte arrays from this size on are kept outside the value, if the packer is asked to. */
const BUFFER_BYTES = 1_024;

const VIEWS = {
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  Uint8Array,
} as const;
type ViewName = keyof typeof VIEWS;

/**
 * Packs a value. With `buffers`, large arrays of bytes are not copied but pushed there, in order.
 * @throws InvalidRequest with the path of what cannot be sent: a function, a symbol, an instance of a class, too many levels
 */
export function packValue(value: unknown, hooks: ValueHooks, buffers: Uint8Array[] | null = null): PackedValue {
  const packer = new Packer(hooks, buffers);
  const plain = packer.pack(value, 0);
  return { plain, tagged: packer.tagged, bytes: packer.bytes };
}

/** Rebuilds a value. `buffers`: the packer's separate byte arrays, with which the value shares memory. Throws InvalidRequest if it is malformed. */
export function unpackValue(
  plain: unknown,
  tagged: boolean,
  hooks: ValueHooks,
  buffers: readonly Uint8Array[] = [],
): unknown {
  return tagged ? new Unpacker(hooks, buffers).unpack(plain) : plain;
}

class Packer {
  tagged = false;
  bytes = 0;
  private readonly path: (string | number)[] = [];

  constructor(
    private readonly hooks: ValueHooks,
    private readonly buffers: Uint8Array[] | null,
  ) {}

  pack(value: unknown, depth: number): unknown {
    if (value === null || typeof value !== 'object') return this.scalar(value);
    if (depth > DEPTH) throw this.unsendable(`more than ${DEPTH} levels, or a circle`);
    if (Array.isArray(value)) return this.list(value, depth);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.map(value as Record<string, unknown>, depth);
    return this.special(value, depth);
  }

  private scalar(value: unknown): unknown {
    if (typeof value === 'string') this.bytes += value.length + 3;
    else this.bytes += 9;
    if (typeof value === 'string' && LONE_SURROGATE.test(value))
      return this.tag('utf16', Buffer.from(value, 'utf16le'));
    if (Object.is(value, -0)) return this.tag('number', '-0');
    if (typeof value === 'bigint') return this.tag('bigint', value.toString());
    if (typeof value === 'function' || typeof value === 'symbol') throw this.unsendable(`a ${typeof value}`);
    return value;
  }

  private list(values: readonly unknown[], depth: number): unknown[] {
    const packed = new Array<unknown>(values.length);
    this.bytes += 5;
    for (let i = 0; i < values.length; i++) packed[i] = this.at(i, values[i], depth);
    return packed;
  }

  private map(value: Readonly<Record<string, unknown>>, depth: number): unknown {
    const packed: Record<string, unknown> = {};
    this.bytes += 5;
    for (const key of Object.keys(value)) {
      this.bytes += key.length + 3;
      // A key `__proto__` must not set the prototype.
      const content = this.at(key, value[key], depth);
      if (key === '__proto__') throw this.unsendable('a key __proto__');
      if (LONE_SURROGATE.test(key)) throw this.unsendable('a key with half of a surrogate pair');
      packed[key] = content;
    }
    return Object.hasOwn(value, TAG) ? this.tag('map', packed) : packed;
  }

  private at(key: string | number, value: unknown, depth: number): unknown {
    if (value === null || typeof value !== 'object') {
      // MessagePack has one 0.
      const isPlain = typeof value === 'number' ? !Object.is(value, -0) : typeof value === 'boolean' || value == null;
      if (isPlain) {
        this.bytes += 9;
        return value;
      }
    }
    this.path.push(key);
    const packed = this.pack(value, depth + 1);
    this.path.pop();
    return packed;
  }

  private special(value: object, depth: number): unknown {
    this.bytes += 16;
    const own = this.hooks.pack(value);
    if (own !== null) return this.tag(own.tag, own.content);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return this.view(value);
    if (value instanceof Date) return this.tag('date', value.getTime());
    if (value instanceof RegExp) return this.tag('regexp', [value.source, value.flags]);
    if (value instanceof Map) return this.tag('entries', this.list([...value].flat(), depth));
    if (value instanceof Set) return this.tag('set', this.list([...value], depth));
    const name = value.constructor?.name || 'a class';
    throw this.unsendable(`an instance of ${name}; send a plain object, or a handle of an actor`);
  }

  private view(value: ArrayBufferView | ArrayBuffer): unknown {
    const bytes = bytesOf(value);
    const name = value instanceof ArrayBuffer ? 'ArrayBuffer' : Buffer.isBuffer(value) ? 'Buffer' : viewName(value);
    if (name === null) throw this.unsendable(`a ${value.constructor.name}`);
    this.bytes += bytes.byteLength;
    if (this.buffers !== null && bytes.byteLength >= BUFFER_BYTES) {
      return this.tag('buffer', [name, this.buffers.push(bytes) - 1]);
    }
    return this.tag('view', [name, bytes.slice()]);
  }

  private tag(tag: string, content: unknown): unknown {
    this.tagged = true;
    return { [TAG]: tag, v: content };
  }

  private unsendable(what: string): InvalidRequest {
    const where = this.path.length === 0 ? '' : ` at ${this.path.join('.')}`;
    return new InvalidRequest(`cannot send ${what}${where}`);
  }
}

class Unpacker {
  constructor(
    private readonly hooks: ValueHooks,
    private readonly buffers: readonly Uint8Array[],
  ) {}

  unpack(value: unknown): unknown {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((item) => this.unpack(item));
    const map = value as Record<string, unknown>;
    return Object.hasOwn(map, TAG) ? this.revive(String(map[TAG]), map.v) : this.map(map);
  }

  private map(map: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, this.unpack(value)]));
  }

  private revive(tag: string, content: unknown): unknown {
    switch (tag) {
      case 'bigint':
        return BigInt(content as string);
      case 'number':
        return Number(content);
      case 'utf16':
        return Buffer.from(content as Uint8Array).toString('utf16le');
      case 'date':
        return new Date(content as number);
      case 'regexp':
        return new RegExp(...(content as [string, string]));
      case 'map':
        return this.map(content as Record<string, unknown>);
      case 'set':
        return new Set(this.unpack(content) as unknown[]);
      case 'entries':
        return new Map(pairs(this.unpack(content) as unknown[]));
      case 'view':
        return viewOf(...(content as [string, Uint8Array]));
      case 'buffer': {
        const [name, index] = content as [string, number];
        return viewOf(name, this.buffers[index]);
      }
    }
    const own = this.hooks.unpack(tag, content);
    if (own === undefined)
      throw new InvalidRequest(`a message has a value of type ${tag}, which this version does not know`);
    return own;
  }
}

function pairs(flat: readonly unknown[]): [unknown, unknown][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function bytesOf(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function viewName(view: ArrayBufferView): ViewName | null {
  if (view instanceof Uint8Array) return 'Uint8Array';
  const { name } = view.constructor;
  return Object.hasOwn(VIEWS, name) ? (name as ViewName) : null;
}

/** A view of the bytes, without a copy where they are aligned for it. */
function viewOf(name: string, bytes: Uint8Array | undefined): unknown {
  if (!(bytes instanceof Uint8Array)) throw new InvalidRequest('a message lacks the bytes of an array');
  if (name === 'Buffer') return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (name === 'ArrayBuffer') return bytes.slice().buffer;
  if (!Object.hasOwn(VIEWS, name))
    throw new InvalidRequest(`a message has an array of type ${name}, which does not exist`);
  const View = VIEWS[name as ViewName];
  const aligned = bytes.byteOffset % View.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new View(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / View.BYTES_PER_ELEMENT);
}
