import { z } from 'zod';
import { BUCKET_DIGEST_BYTES } from '../../core/anti-entropy.js';
import { Corrupt } from '../../errors.js';
import { ContentType, LATEST_EXPIRY_MS, ObjectFields } from '../../objects/object.js';
import { OBJECT_KEY_BYTES, OBJECT_SPACE_BYTES, POSITIONS } from '../../objects/object-name.js';
import { RANGE_BUCKETS, RING_PARTS } from '../../objects/range-summary.js';
import { SharedMark, SharedValuePlace } from '../../objects/shared-object.js';
import { AnyBytes, Bytes, Direction, Empty, ERROR, type Kind, kind, type MessageOf } from '../wire/message-format.js';

/** The messages of a connection for objects, one union a direction. `docs/PEER-PROTOCOL.md` says in which order they come. */

/** Limits on what one message asks for. */
export const LOOKED_UP = 32;
export const OFFERED = 256;
export const LISTED = 256;
const VALUE_BYTES = 2 ** 40;

const HASH_BYTES = 32;

const Space = z.string().max(OBJECT_SPACE_BYTES);
const Key = AnyBytes.refine(
  ({ byteLength }) => byteLength > 0 && byteLength <= OBJECT_KEY_BYTES,
  `must be 1 to ${OBJECT_KEY_BYTES} bytes`,
).transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
const Name = { space: Space, key: Key };
const At = z.int().min(0);
const Count = z.int().min(0).max(VALUE_BYTES);
const WireVersion = z.strictObject({ at: At, writer: z.string().max(128) });
const Time = z.int().min(0).max(LATEST_EXPIRY_MS).nullable();
const Token = z.string().max(64);
const Digest = z.string().length(16);
const Meta = { contentType: ContentType, fields: ObjectFields, token: Token };
const WireInfo = z.strictObject({
  ...Meta,
  version: WireVersion,
  bytes: Count,
  digest: Digest,
  expiresAtMs: Time,
});
const WireExpiry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('never') }),
  z.strictObject({ kind: z.literal('keep') }),
  z.strictObject({ kind: z.literal('at'), atMs: z.int().min(0).max(LATEST_EXPIRY_MS) }),
]);
const WireCondition = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('always') }),
  z.strictObject({ kind: z.literal('absent') }),
  z.strictObject({ kind: z.literal('present') }),
  z.strictObject({ kind: z.literal('digest'), digest: z.string().max(64) }),
  z.strictObject({ kind: z.literal('version'), version: WireVersion }),
]);
const Hash = AnyBytes.refine(({ byteLength }) => byteLength === HASH_BYTES, `must be ${HASH_BYTES} bytes`).transform(
  (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, HASH_BYTES).toString('hex'),
);
const WireHeld = z.strictObject({ hash: Hash, version: WireVersion });
const Position = z.int().min(0).max(POSITIONS);

/** The questions whose answer is one message without bytes. Those of the second part are for members only. */
export const Question = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('look'), names: z.array(z.strictObject(Name)).max(LOOKED_UP) }),
  z.strictObject({ op: z.literal('share'), ...Name, host: z.string().max(256) }),
  z.strictObject({ op: z.literal('remove'), ...Name, condition: WireCondition }),
  z.strictObject({ op: z.literal('retime'), ...Name, expiry: WireExpiry, condition: WireCondition }),
  z.strictObject({ op: z.literal('list'), space: Space, from: Position, least: z.int().min(1).max(LISTED) }),
  z.strictObject({ op: z.literal('count'), space: Space }),
  z.strictObject({ op: z.literal('use') }),
  z.strictObject({ op: z.literal('flush'), space: Space }),
  z.strictObject({ op: z.literal('versions'), names: z.array(z.strictObject(Name)).max(LOOKED_UP) }),
  z.strictObject({ op: z.literal('wanted'), held: z.array(WireHeld).max(OFFERED) }),
  z.strictObject({ op: z.literal('owes'), home: z.string().max(128), epoch: z.string().max(64) }),
  z.strictObject({
    op: z.literal('differing'),
    home: z.string().max(128),
    epoch: z.string().max(64),
    part: z.int().min(0),
    parts: z.int().min(1).max(RING_PARTS),
    digests: Bytes(RANGE_BUCKETS * BUCKET_DIGEST_BYTES),
  }),
  z.strictObject({ op: z.literal('deleted'), ...Name, version: WireVersion }),
  z.strictObject({ op: z.literal('retimed'), ...Name, of: WireVersion, info: WireInfo }),
]);
export type Question = z.output<typeof Question>;
export type QuestionIn = z.input<typeof Question>;

/** Questions that homes ask each other. */
export const FOR_MEMBERS: ReadonlySet<Question['op']> = new Set([
  'versions',
  'wanted',
  'owes',
  'differing',
  'deleted',
  'retimed',
]);

export const WireWriteOutcome = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('written'), info: WireInfo, created: z.boolean() }),
  z.strictObject({ type: z.literal('unmet'), info: WireInfo.nullable() }),
]);
export const WireCopyOutcome = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('stored') }),
  z.strictObject({ type: z.literal('newer'), version: WireVersion }),
  z.strictObject({ type: z.literal('lacks') }),
  z.strictObject({ type: z.literal('full') }),
]);
export const WireShared = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('shared'), info: WireInfo, place: SharedValuePlace, mark: SharedMark.nullable() }),
  z.strictObject({ type: z.literal('elsewhere') }),
  z.strictObject({ type: z.literal('absent') }),
]);
export const WireLook = z.array(WireInfo.nullable()).max(LOOKED_UP);
export const WireVersions = z.array(WireVersion.nullable()).max(LOOKED_UP);
export const WireWanted = z
  .array(
    z
      .int()
      .min(0)
      .max(OFFERED - 1),
  )
  .max(OFFERED);
export const WireOwed = z.int().min(0).nullable();
export const WireDiffering = z
  .strictObject({
    buckets: z
      .array(
        z
          .int()
          .min(0)
          .max(RANGE_BUCKETS - 1),
      )
      .max(RANGE_BUCKETS),
    freeBytes: Count,
  })
  .nullable();
export const WireCount = z.int().min(0);
export const WireUse = z.strictObject({
  objects: WireCount,
  bytes: WireCount,
  budgetBytes: WireCount,
  evicted: WireCount,
});
export const WirePage = z.strictObject({ keys: z.array(Key).max(64 * LISTED), next: Position.nullable() });

/** A frame whose payload is a part of a value; its header is the XXH3 of the payload, not a map. */
const PART_HEADER_BYTES = 8;
function part(code: number): Kind<{ digest: string }> {
  return {
    code,
    pack: ({ digest }) => Buffer.from(digest, 'hex'),
    read: (header) => {
      if (header.byteLength !== PART_HEADER_BYTES)
        throw new Corrupt('a peer sent a part of an object without its digest');
      return { digest: Buffer.from(header.buffer, header.byteOffset, PART_HEADER_BYTES).toString('hex') };
    },
  };
}

const READ = z.strictObject({
  ...Name,
  from: Count,
  end: Count.nullable(),
  have: WireVersion.nullable(),
  only: WireVersion.nullable(),
});
const WRITE = z.strictObject({
  ...Name,
  bytes: Count,
  contentType: ContentType,
  fields: ObjectFields,
  token: Token,
  expiry: WireExpiry,
  condition: WireCondition,
});

const CLIENT = {
  read: kind(80, READ),
  /** The reader has taken so many pieces. */
  more: kind(81, z.strictObject({ pieces: z.int().min(1) })),
  /** The client does not need the rest, or sends no more parts. */
  stop: kind(82, Empty),
  write: kind(83, WRITE),
  copy: kind(84, z.strictObject({ ...Name, info: WireInfo })),
  part: part(85),
  ask: kind(86, z.strictObject({ question: Question })),
};

const SERVER = {
  found: kind(96, z.strictObject({ info: WireInfo })),
  piece: part(97),
  done: kind(98, Empty),
  same: kind(99, z.strictObject({ info: WireInfo })),
  absent: kind(100, Empty),
  answer: kind(101, z.strictObject({ value: z.unknown() })),
  error: ERROR,
};

export type ObjectClientMessage = MessageOf<typeof CLIENT>;
export type ObjectServerMessage = MessageOf<typeof SERVER>;

export const objectsFromClient = new Direction<ObjectClientMessage>(CLIENT);
export const objectsFromServer = new Direction<ObjectServerMessage>(SERVER);
