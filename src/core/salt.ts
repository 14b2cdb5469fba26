import { hash } from 'node:crypto';

/** Salts of block keys, which decide the requests that may find a block. */

/** A beginning of a prompt that an operator has published. Requests with access to the layer share its blocks. */
export interface SaltLayer {
  readonly salt: string;
  /** Blocks of the prompt up to the end of the layer, more than up to the end of the layer before. */
  readonly blocks: number;
}

/** A salt for the blocks after those of one or more layers. */
interface LayeredSalt {
  readonly own: string;
  readonly layers: readonly SaltLayer[];
}

/** The salt that separates the blocks of equal prompts. A string is a salt without layers; the empty string means none. */
export type Salt = string | LayeredSalt;

/** The salt of the blocks after all layers. */
export function ownSalt(salt: Salt): string {
  return typeof salt === 'string' ? salt : salt.own;
}

export function layersOf(salt: Salt): readonly SaltLayer[] {
  return typeof salt === 'string' ? [] : salt.layers;
}

/** A salt with these layers, or without, if there are none. */
export function withLayers(own: string, layers: readonly SaltLayer[]): Salt {
  return layers.length === 0 ? own : { own, layers };
}

/** Equal texts for equal salts, and for no others. */
export function saltText(salt: Salt): string {
  return typeof salt === 'string'
    ? salt
    : JSON.stringify([salt.own, salt.layers.map((each) => [each.salt, each.blocks])]);
}

/** Size of the label of a salt, in bytes: half of it for the owner. */
export const LABEL_BYTES = 8;

/**
 * The label that ends each key of a block with this salt, in hex. Its first half names the owner, which is the text before the first colon. By the
 * label a worker finds the blocks of an owner or of a salt without knowing either. Labels do not separate salts: the digest in the key does.
 */
export function saltLabel(salt: string): string {
  return ownerLabel(ownerOf(salt)) + saltDigest(salt).slice(0, LABEL_BYTES);
}

/** SHA-256 of a salt, in hex: names it where a label, which others may have by chance, would not do. */
export function saltDigest(salt: string): string {
  return hash('sha256', `shoal/salt/1\0${salt}`, 'hex');
}

/** The first half of the labels of an owner's salts, in hex. */
export function ownerLabel(owner: string): string {
  return ownerDigest(owner).slice(0, LABEL_BYTES);
}

/** SHA-256 of an owner, in hex. */
export function ownerDigest(owner: string): string {
  return hash('sha256', `shoal/owner/1\0${owner}`, 'hex');
}

/** The owner of a salt, or of the prefix of salts: the text before the first colon. */
export function ownerOf(salt: string): string {
  const end = salt.indexOf(':');
  return end === -1 ? salt : salt.slice(0, end);
}
