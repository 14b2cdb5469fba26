import { z } from 'zod';
import type { ObjectName } from './object-name.js';
import type { Version } from './version.js';

/** The metadata of an object. */

/** Limits on the metadata of an object. */
const OBJECT_FIELDS = 16;
const FIELD_NAME_CHARS = 64;
const FIELD_VALUE_CHARS = 256;
const CONTENT_TYPE_CHARS = 128;
/** The latest time at which an object may expire: Redis allows no later one. */
export const LATEST_EXPIRY_MS = 2 ** 53 - 1;

export const ObjectFields = z
  .record(z.string().min(1).max(FIELD_NAME_CHARS), z.string().max(FIELD_VALUE_CHARS))
  .refine((fields) => Object.keys(fields).length <= OBJECT_FIELDS, `must be at most ${OBJECT_FIELDS} fields`);
/** The field of a stored answer of the Responses API with the digest of the salt of its prompt. */
export const RESPONSE_SALT = 'salt';
export const ContentType = z.string().max(CONTENT_TYPE_CHARS).nullable();

interface ObjectMeta {
  readonly contentType: string | null;
  readonly fields: Readonly<Record<string, string>>;
  /** Milliseconds since 1970; null if it does not expire. */
  readonly expiresAtMs: number | null;
  /** Names the write: a repeated one finds its own result. */
  readonly token: string;
}

export interface ObjectInfo extends ObjectMeta {
  readonly version: Version;
  readonly bytes: number;
  readonly digest: string;
}

/** The parts of an object that take memory. */
export type ObjectSize = Pick<ObjectInfo, 'bytes' | 'contentType' | 'fields'>;

/** Memory of an object with an empty value: its entries in maps, names, versions, digests, and the head of the value's memory. Measured by a test. */
const OBJECT_OVERHEAD_BYTES = 1_664;
/** Memory of a field besides its characters. */
const FIELD_OVERHEAD_BYTES = 96;
/** Bytes for a character: a text with any character beyond Latin-1 takes two for each. */
const CHAR_BYTES = 2;

/** Bytes of budget that an object takes: as much as it takes of the memory of a process. */
export function costOf({ space, key }: ObjectName, size: ObjectSize): number {
  let chars = size.contentType?.length ?? 0;
  let fields = 0;
  for (const [name, value] of Object.entries(size.fields)) {
    fields++;
    chars += name.length + value.length;
  }
  const about = CHAR_BYTES * (chars + space.length) + FIELD_OVERHEAD_BYTES * fields;
  return size.bytes + key.byteLength + about + OBJECT_OVERHEAD_BYTES;
}

/** When an object expires. `keep`: as before, or never if there is none. */
export type Expiry =
  | { readonly kind: 'never' }
  | { readonly kind: 'keep' }
  | { readonly kind: 'at'; readonly atMs: number };

/** On which state of the object a change depends. */
export type WriteCondition =
  | { readonly kind: 'always' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'present' }
  /** The object has this digest. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** The object has this version. */
  | { readonly kind: 'version'; readonly version: Version };

/** Whether a condition holds of an object; null is not an object. */
export function holds(condition: WriteCondition, info: ObjectInfo | null): boolean {
  switch (condition.kind) {
    case 'always':
      return true;
    case 'absent':
      return info === null;
    case 'present':
      return info !== null;
    case 'digest':
      return info !== null && info.digest === condition.digest;
    case 'version':
      return (
        info !== null && info.version.at === condition.version.at && info.version.writer === condition.version.writer
      );
  }
}

/** The time at which a changed object expires; null for never. */
export function expiryOf(expiry: Expiry, before: ObjectInfo | null): number | null {
  if (expiry.kind === 'at') return expiry.atMs;
  return expiry.kind === 'keep' ? (before?.expiresAtMs ?? null) : null;
}

/** Bytes of a budget that the largest object leaves to its name and to the bookkeeping. */
const BUDGET_MARGIN_BYTES = 16 * 1024;

/** The most bytes of an object in workers with this budget. */
export function largestObject(budgetBytes: number): number {
  return Math.max(0, budgetBytes - BUDGET_MARGIN_BYTES);
}
