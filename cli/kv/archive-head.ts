import { z } from 'zod';
import { checksumOf } from '../../src/digest.js';
import { Corrupt } from '../../src/errors.js';
import { ContentType, ObjectFields } from '../../src/objects/object.js';
import { OBJECT_KEY_BYTES } from '../../src/objects/object-name.js';

/**
 * The form of a file of objects: the magic, then records. A record is the length of its head in four bytes, a checksum of the head in four bytes, the
 * least significant ones first, the head, which is JSON, and, for an object, its bytes. The first record is `begin`, and the last one `end`.
 */

export const ARCHIVE_MAGIC = Buffer.from('shoal-kv/1\n');
/** Bytes before a head. */
export const LEAD_BYTES = 8;
/** Limit on the bytes of a head: a key, fields and a content type of the greatest lengths take less. */
const HEAD_BYTES = 64 * 1024;

const ArchivedObject = z.strictObject({
  type: z.literal('object'),
  /** In base64url. */
  key: z
    .base64url()
    .min(1)
    .max(Math.ceil((OBJECT_KEY_BYTES * 4) / 3)),
  bytes: z.int().min(0),
  digest: z.string().regex(/^[0-9a-f]{16}$/),
  contentType: ContentType,
  fields: ObjectFields,
  /** Milliseconds since 1970. */
  expiresAtMs: z.int().nullable(),
});
export type ArchivedObject = z.infer<typeof ArchivedObject>;

const ArchiveHead = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('begin'), prefix: z.string().max(OBJECT_KEY_BYTES) }),
  ArchivedObject,
  /** All objects before this place in the list are in the file. */
  z.strictObject({ type: z.literal('mark'), after: z.string().max(32) }),
  z.strictObject({ type: z.literal('end'), objects: z.int().min(0), bytes: z.int().min(0) }),
]);
export type ArchiveHead = z.infer<typeof ArchiveHead>;

/** A record up to the bytes of its object. */
export function encodeHead(head: ArchiveHead): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const record = Buffer.alloc(LEAD_BYTES + text.byteLength);
  record.writeUInt32LE(text.byteLength, 0);
  record.writeUInt32LE(checksumOf(text), 4);
  text.copy(record, LEAD_BYTES);
  return record;
}

/** The bytes of the head that follows. @throws Corrupt if no head is as long */
export function headBytes(lead: Buffer): number {
  const bytes = lead.readUInt32LE(0);
  if (bytes > 0 && bytes <= HEAD_BYTES) return bytes;
  throw new Corrupt(`a record says that its head has ${bytes} bytes, and it has 1 to ${HEAD_BYTES}`);
}

/** @throws Corrupt if it is not a head, or not the one that was written */
export function decodeHead(lead: Buffer, text: Buffer): ArchiveHead {
  if (checksumOf(text) !== lead.readUInt32LE(4)) throw new Corrupt('the checksum of the head of a record is wrong');
  const head = ArchiveHead.safeParse(JSON.parse(text.toString()));
  if (head.success) return head.data;
  throw new Corrupt(`the head of a record is unknown: ${head.error.issues[0]!.message}`);
}
