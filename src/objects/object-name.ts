import { hash } from 'node:crypto';
import { ownerOf } from '../core/salt.js';
import { InvalidRequest } from '../errors.js';

/** The name of an object: a key in the namespace of a tenant. Its hash places the object on the ring. */

/** Limit on the bytes of a key. */
export const OBJECT_KEY_BYTES = 1024;
/** Limit on the bytes of the name of a space. */
export const OBJECT_SPACE_BYTES = 256;

/** SHA-256 of a name, in hex: the object's place on the ring, and its identity in stores and messages. */
export type ObjectHash = string;

export interface ObjectName {
  /** The namespace: no tenant names another's. */
  readonly space: string;
  /** Any bytes. They are this name's own, and never change. */
  readonly key: Buffer;
  readonly hash: ObjectHash;
}

/**
 * Names an object. The key's bytes are taken over, not copied.
 * @throws InvalidRequest if the key is empty or longer than `OBJECT_KEY_BYTES`
 */
export function objectName(space: string, key: Buffer): ObjectName {
  if (key.byteLength === 0 || key.byteLength > OBJECT_KEY_BYTES) {
    throw new InvalidRequest(`key: must have 1 to ${OBJECT_KEY_BYTES} bytes, got ${key.byteLength}`, 'key');
  }
  return { space, key, hash: hashOf(space, key) };
}

/** The database of a space with the stored answers of the Responses API. `SELECT` has none of this number. */
export const RESPONSES_DATABASE = 16;

/** The space of one of a tenant's databases. The first is the space of the tenant itself. */
export function databaseSpace(space: string, database: number): string {
  return database === 0 ? space : `${space}#${database}`;
}

/** The space of clients that have keys. @param ownPrefix begins the salts of what they share with no other tenant */
export function keySpace(ownPrefix: string): string {
  return KEYS + ownPrefix;
}

/** The owner of the salts of those who have a space, or one of its databases; null for a space of all clients. */
export function ownerOfSpace(space: string): string | null {
  return space.startsWith(KEYS) ? ownerOf(tenantOfSpace(space).slice(KEYS.length)) : null;
}

const KEYS = 'key/';

/** Whether a space has stored answers of the Responses API. */
export function hasResponses(space: string): boolean {
  return space.endsWith(`#${RESPONSES_DATABASE}`);
}

/** The tenant of a space: `SELECT` gives each of a tenant's databases a space, with the database's number behind a `#`. */
export function tenantOfSpace(space: string): string {
  return space.replace(/#\d{1,2}$/, '');
}

/** The same name in little memory, for as long as an object is kept: a key from a socket may keep the memory of all that came with it. */
export function compactName(name: ObjectName): ObjectName {
  return name instanceof CompactName ? name : new CompactName(name.space, name.key.toString('latin1'), name.hash);
}

class CompactName implements ObjectName {
  constructor(
    readonly space: string,
    private readonly text: string,
    readonly hash: ObjectHash,
  ) {}

  get key(): Buffer {
    return Buffer.from(this.text, 'latin1');
  }
}

/** SHA-256 over a tag, the length of the space's name in two bytes, the name, and the key. */
function hashOf(space: string, key: Buffer): ObjectHash {
  const spaceBytes = Buffer.byteLength(space);
  const bytes = Buffer.allocUnsafe(TAG.byteLength + 2 + spaceBytes + key.byteLength);
  TAG.copy(bytes);
  bytes.writeUInt16BE(spaceBytes, TAG.byteLength);
  bytes.write(space, TAG.byteLength + 2);
  key.copy(bytes, TAG.byteLength + 2 + spaceBytes);
  return hash('sha256', bytes, 'hex');
}

const TAG = Buffer.from('shoal/object/1\0');

/** Bits of a position, so that a position is a whole number that a client can send back as text. */
const POSITION_BITS = 48;
/** Positions are in `[0, POSITIONS)`. */
export const POSITIONS = 2 ** POSITION_BITS;

/** The place of a hash in the order in which objects are listed: its first 48 bits. */
export function positionOf(objectHash: ObjectHash): number {
  return Number.parseInt(objectHash.slice(0, POSITION_BITS / 4), 16);
}
