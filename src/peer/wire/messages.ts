import { z } from 'zod';
import type { BlockKey, SealedBlock } from '../../core/block.js';
import { KEY_BYTES, packKeys, unpackKeys } from '../../core/key.js';
import { Corrupt } from '../../errors.js';
import { PEER_KEYS_PER_REQUEST, PEER_OFFER_BLOCKS } from '../../limits.js';
import { decode, encode } from '../../wire/msgpack.js';
import { PACKED_BLOCK_BYTES, packBlocks, unpackBlock, unpackBlocks } from './packed-block.js';
import { type PlacedBlock, packPlacedBlocks, unpackPlacedBlocks } from './placed-block.js';

/** What peers say to each other, one union a direction. `docs/PEER-PROTOCOL.md` tells what follows what. */

const AnyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');
const Bytes = (length: number) => AnyBytes.refine((bytes) => bytes.byteLength === length, `must be ${length} bytes`);
/** 1 to `most` things of `unit` bytes. */
const Run = (unit: number, most: number) =>
  AnyBytes.refine(
    ({ byteLength }) => byteLength > 0 && byteLength % unit === 0 && byteLength <= unit * most,
    `must be 1 to ${most} times ${unit} bytes`,
  );

const Key = Bytes(KEY_BYTES).transform((bytes): BlockKey => unpackKeys(bytes)[0]!);
const Keys = Run(KEY_BYTES, PEER_KEYS_PER_REQUEST).transform(unpackKeys);
const Blocks = Run(PACKED_BLOCK_BYTES, PEER_OFFER_BLOCKS).transform(unpackBlocks);

const Name = z.string().min(1).max(128);
const Index = z.int().min(0);
const Indexes = z.array(Index.max(PEER_OFFER_BLOCKS - 1)).max(PEER_OFFER_BLOCKS);

const Failure = z.strictObject({
  code: z.enum(['invalid', 'overloaded', 'unavailable', 'cancelled', 'deadline', 'refused', 'corrupt', 'internal']),
  message: z.string().max(1024),
  param: z.string().max(128).optional(),
});

const Identity = { id: Name, incarnation: Name, fingerprint: z.string().length(64), nonce: Bytes(32) };
const Empty: z.ZodType<unknown> = z.strictObject({});

/** A type of message: its code in frames, and how its header is written and read. */
interface Kind<Fields> {
  readonly code: number;
  pack(fields: Fields): Uint8Array;
  /** Throws Corrupt naming the field that is wrong. */
  read(header: Uint8Array): Fields;
}

/** A header that is a MessagePack map; `toMap` makes it of the fields, where they are not it themselves. */
function kind<Fields>(
  code: number,
  schema: z.ZodType<Fields>,
  toMap: (fields: Fields) => unknown = (fields) => fields,
): Kind<Fields> {
  const read = (header: Uint8Array) => {
    const fields = schema.safeParse(decode(header));
    if (fields.success) return fields.data;
    const [issue] = fields.error.issues;
    throw new Corrupt(`a peer sent a wrong header: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  };
  return { code, pack: (fields) => encode(toMap(fields)), read };
}

const CLIENT = {
  hello: kind(1, z.strictObject({ ...Identity, wantedId: Name, wantedIncarnation: Name })),
  proof: kind(3, z.strictObject({ mac: Bytes(32) })),
  fetch: kind(16, z.strictObject({ keys: Keys }), ({ keys }) => ({ keys: packKeys(keys) })),
  cancel: kind(17, Empty),
  offer: kind(18, z.strictObject({ blocks: Blocks }), ({ blocks }) => ({ blocks: packBlocks(blocks) })),
  put: kind(19, z.strictObject({ index: Index })),
  ping: kind(20, Empty),
  borrow: kind(21, z.strictObject({ keys: Keys }), ({ keys }) => ({ keys: packKeys(keys) })),
  return: kind(22, Empty),
};

/** Two headers are no maps: there is one for each block, and reading a map would cost as much as all else that is done for it. */
const BLOCK: Kind<{ block: SealedBlock }> = {
  code: 32,
  pack: ({ block }) => packBlocks([block]),
  read: (header) => ({ block: unpackBlock(header) }),
};

const LENT: Kind<{ blocks: PlacedBlock[] }> = {
  code: 39,
  pack: ({ blocks }) => packPlacedBlocks(blocks),
  read: (header) => ({ blocks: unpackPlacedBlocks(header) }),
};

const SERVER = {
  challenge: kind(2, z.strictObject(Identity)),
  welcome: kind(4, z.strictObject({ mac: Bytes(32) })),
  block: BLOCK,
  missing: kind(33, z.strictObject({ key: Key }), ({ key }) => ({ key: packKeys([key]) })),
  done: kind(34, Empty),
  wanted: kind(35, z.strictObject({ wanted: Indexes, held: Indexes })),
  stored: kind(36, z.strictObject({ index: Index, error: Failure.nullable() })),
  pong: kind(37, Empty),
  error: kind(38, Failure),
  lent: LENT,
  unshared: kind(40, Empty),
};

type MessageOf<T> = { [K in keyof T]: T[K] extends Kind<infer Fields> ? { type: K } & Fields : never }[keyof T];

export type ClientMessage = MessageOf<typeof CLIENT>;
export type ServerMessage = MessageOf<typeof SERVER>;
export type Message<D extends ClientMessage | ServerMessage, T extends D['type']> = Extract<D, { type: T }>;

/** How the messages of one direction are written and read. @internal exported for tests. */
export class Direction<M extends { type: string }> {
  private readonly byCode = new Map<number, M['type']>();
  private readonly kinds: Record<string, Kind<unknown>>;

  constructor(kinds: object) {
    this.kinds = kinds as Record<string, Kind<unknown>>;
    for (const [type, { code }] of Object.entries(this.kinds)) this.byCode.set(code, type);
  }

  /** Type of message that a frame carries. Throws Corrupt if there is none in this direction. */
  typeOf(code: number): M['type'] {
    const type = this.byCode.get(code);
    if (type === undefined) {
      throw new Corrupt(`a peer sent a frame of type ${code}, which means nothing in this direction`);
    }
    return type;
  }

  /** Code and header of the frame for a message. */
  pack(message: M): { code: number; header: Uint8Array } {
    const { type, ...fields } = message;
    const { code, pack } = this.kinds[type]!;
    return { code, header: pack(fields) };
  }

  /** Reads a header. Throws Corrupt naming the field that is wrong. */
  read(type: M['type'], header: Uint8Array): M {
    return { type, ...(this.kinds[type]!.read(header) as object) } as M;
  }
}

export const fromClient = new Direction<ClientMessage>(CLIENT);
export const fromServer = new Direction<ServerMessage>(SERVER);
