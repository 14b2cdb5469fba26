import { z } from 'zod';
import type { SealedBlock } from '../core/block.js';
import { KEY_BYTES, packKeys, unpackKeys } from '../core/key.js';
import { Corrupt } from '../errors.js';
import { PEER_KEYS_PER_REQUEST, PEER_OFFER_BLOCKS } from '../limits.js';
import { decode, encode } from '../wire/msgpack.js';

/** What peers say to each other, one union a direction. `docs/PEER-PROTOCOL.md` tells what follows what. */

const AnyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');
const Bytes = (length: number) => AnyBytes.refine((bytes) => bytes.byteLength === length, `must be ${length} bytes`);

/** Bytes on the wire, hex digits in the program. */
const Hex = (length: number) =>
  z.codec(Bytes(length), z.string().length(2 * length), {
    decode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('hex'),
    encode: (hex) => Buffer.from(hex, 'hex'),
  });

const Key = Hex(KEY_BYTES);
const Name = z.string().min(1).max(128);
const Fingerprint = z.string().length(64);
const Index = z.int().min(0);
const Indexes = z.array(Index.max(PEER_OFFER_BLOCKS - 1)).max(PEER_OFFER_BLOCKS);

const Keys = z.codec(
  AnyBytes.refine(
    ({ byteLength }) =>
      byteLength > 0 && byteLength % KEY_BYTES === 0 && byteLength <= KEY_BYTES * PEER_KEYS_PER_REQUEST,
    `must be 1 to ${PEER_KEYS_PER_REQUEST} keys of ${KEY_BYTES} bytes`,
  ),
  z.array(z.string()),
  { decode: unpackKeys, encode: (keys) => packKeys(keys) },
);

const Sealed = z.strictObject({
  key: Key,
  parent: Key.nullable(),
  index: Index,
  segment: Key,
  digest: Hex(8),
}) satisfies z.ZodType<SealedBlock>;

const Failure = z.strictObject({
  code: z.enum(['invalid', 'overloaded', 'unavailable', 'cancelled', 'deadline', 'refused', 'corrupt', 'internal']),
  message: z.string().max(1024),
  param: z.string().max(128).optional(),
});

const Identity = { id: Name, incarnation: Name, fingerprint: Fingerprint, nonce: Bytes(32) };
const Empty: z.ZodType<unknown> = z.strictObject({});

const CLIENT = {
  hello: { code: 1, header: z.strictObject({ ...Identity, wantedId: Name, wantedIncarnation: Name }) },
  proof: { code: 3, header: z.strictObject({ mac: Bytes(32) }) },
  fetch: { code: 16, header: z.strictObject({ keys: Keys }) },
  cancel: { code: 17, header: Empty },
  offer: { code: 18, header: z.strictObject({ blocks: z.array(Sealed).min(1).max(PEER_OFFER_BLOCKS) }) },
  put: { code: 19, header: z.strictObject({ index: Index }) },
  ping: { code: 20, header: Empty },
} as const;

const SERVER = {
  challenge: { code: 2, header: z.strictObject(Identity) },
  welcome: { code: 4, header: z.strictObject({ mac: Bytes(32) }) },
  block: { code: 32, header: Sealed },
  missing: { code: 33, header: z.strictObject({ key: Key }) },
  done: { code: 34, header: Empty },
  wanted: { code: 35, header: z.strictObject({ wanted: Indexes, held: Indexes }) },
  stored: { code: 36, header: z.strictObject({ index: Index, error: Failure.nullable() }) },
  pong: { code: 37, header: Empty },
  error: { code: 38, header: Failure },
} as const;

type Table = Record<string, { readonly code: number; readonly header: z.ZodType }>;

type MessageOf<T extends Table> = { [K in keyof T & string]: { type: K } & z.output<T[K]['header']> }[keyof T & string];

export type ClientMessage = MessageOf<typeof CLIENT>;
export type ServerMessage = MessageOf<typeof SERVER>;
export type Message<D extends ClientMessage | ServerMessage, T extends D['type']> = Extract<D, { type: T }>;

/** How the messages of one direction are written and read. */
export class Direction<M extends { type: string }> {
  private readonly byCode = new Map<number, M['type']>();

  constructor(private readonly table: Table) {
    for (const [type, { code }] of Object.entries(table)) this.byCode.set(code, type);
  }

  /** Type of message that a frame carries. Throws Corrupt if there is none in this direction. */
  typeOf(code: number): M['type'] {
    const type = this.byCode.get(code);
    if (type === undefined)
      throw new Corrupt(`a peer sent a frame of type ${code}, which means nothing in this direction`);
    return type;
  }

  /** Code and header of the frame for a message. */
  pack(message: M): { code: number; header: Uint8Array } {
    const { type, ...fields } = message;
    const { code, header } = this.table[type]!;
    return { code, header: encode(z.encode(header, fields)) };
  }

  /** Reads a header. Throws Corrupt naming the field that is wrong. */
  read(type: M['type'], header: Uint8Array): M {
    const fields = this.table[type]!.header.safeParse(decode(header));
    if (fields.success) return { type, ...(fields.data as object) } as M;
    const [issue] = fields.error.issues;
    throw new Corrupt(`a peer sent a wrong '${type}' frame: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  }
}

export const fromClient = new Direction<ClientMessage>(CLIENT);
export const fromServer = new Direction<ServerMessage>(SERVER);
