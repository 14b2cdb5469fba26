import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type AssociatedHash, OCB_EXTRA_BYTES, Ocb, ocbBytes } from './ocb.js';

/**
 * Seals messages with the cluster secret.
 *
 * A sealed message is encrypted, authenticated, and bound to its sender, the sender's incarnation, a counter and the subject.
 * `docs/PEER-PROTOCOL.md` specifies the bytes. The module uses no clock and no randomness.
 *
 * Each sealer has its own key, HKDF-SHA256 (RFC 5869) of the secret and of a random salt, so that the counter alone is a nonce that never
 * repeats. To derive the key costs far more than to open a message, so each message also carries a mark of its sealer, which costs one hash to check:
 * somebody without the secret makes nobody derive a key, except by the marks of messages that were recorded.
 */

const VERSION = 4;
const KEY_BYTES = 32;
const COUNTER_BYTES = 8;
/** Version, and lengths of sender ID and incarnation. */
const PREFIX_BYTES = 1 + 2 + 2;
/** Size of the salt of a sealer. */
export const SEAL_SALT_BYTES = 16;
const MARK_BYTES = 8;
/** What follows the names in the head. */
const SUFFIX_BYTES = SEAL_SALT_BYTES + MARK_BYTES + COUNTER_BYTES;
const FIXED_BYTES = PREFIX_BYTES + SUFFIX_BYTES;
const NAME_BYTES = 512;
/** Limit on the pairs of subjects whose hashes one key keeps. Most messages between two members have one of a few. */
const SUBJECTS_KEPT = 64;

/** The use of a seal. Each use has keys of its own, so that each counts its messages separately. */
export type SealedUse = 'messages' | 'values';

/**
 * Why a message is dropped: it was not sealed with this secret; it was taken before; or it is so old that this process cannot tell, as when it was sent long
 * before the two processes first heard each other.
 */
export type MessageRejection = 'forged' | 'replayed' | 'late';

/** One incarnation of a sender. */
export interface Sender {
  readonly id: string;
  readonly incarnation: string;
}

/** The head of a sealed message. Unverified until `MessageOpener.open` succeeds. */
export interface Envelope {
  /** Names the sealer: the sender, the salt and the mark. `senderOf` reads it. */
  readonly origin: string;
  /** The message's number among those of its sealer. */
  readonly counter: number;
  readonly headBytes: number;
}

/** Most bytes that sealing adds to a payload of this sender. */
export function sealBytes(sender: Sender): number {
  return FIXED_BYTES + Buffer.byteLength(sender.id) + Buffer.byteLength(sender.incarnation) + OCB_EXTRA_BYTES;
}

/** The sender that an envelope names. */
export function senderOf({ origin }: Envelope): Sender {
  const bytes = Buffer.from(origin, 'latin1');
  const idAt = PREFIX_BYTES - 1;
  const idEnd = idAt + bytes.readUInt16LE(0);
  const id = bytes.toString('utf8', idAt, idEnd);
  return { id, incarnation: bytes.toString('utf8', idEnd, bytes.byteLength - SEAL_SALT_BYTES - MARK_BYTES) };
}

/** Seals the messages of one sender. */
export class MessageSealer {
  /** As in the envelopes of its messages. */
  readonly origin: string;
  private readonly cipher: SubjectCipher;
  private readonly head: Buffer;
  private last = 0;

  /** `salt` is `SEAL_SALT_BYTES` fresh random bytes. Two sealers with the same salt, secret and sender would use the same nonces. */
  constructor(secret: string, sender: Sender, salt: Uint8Array, use: SealedUse = 'messages') {
    this.head = headOf(secret, sender, salt);
    this.origin = this.head.toString('latin1', 1, this.head.byteLength - COUNTER_BYTES);
    this.cipher = cipherOf(secret, this.origin, use);
  }

  /** Number of the last message; 0 before the first. */
  get counter(): number {
    return this.last;
  }

  /** Seals a payload for one subject and reply subject. Each call takes the next counter. */
  seal(subject: string, reply: string, payload: Uint8Array): Uint8Array {
    const { head } = this;
    const counter = ++this.last;
    const at = head.byteLength - COUNTER_BYTES;
    head.writeUInt32LE(counter >>> 0, at);
    head.writeUInt32LE(Math.floor(counter / 2 ** 32), at + 4);
    const message = Buffer.allocUnsafe(head.byteLength + ocbBytes(payload.byteLength));
    message.set(head);
    this.cipher.seal(counter, subject, reply, payload, message, head.byteLength);
    return message;
  }
}

function headOf(secret: string, { id, incarnation }: Sender, salt: Uint8Array): Buffer {
  const [idBytes, incarnationBytes] = [Buffer.from(id), Buffer.from(incarnation)];
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(VERSION, 0);
  prefix.writeUInt16LE(idBytes.byteLength, 1);
  prefix.writeUInt16LE(incarnationBytes.byteLength, 3);
  const unmarked = Buffer.concat([prefix, idBytes, incarnationBytes, salt]);
  return Buffer.concat([unmarked, new Marks(secret).of(unmarked.subarray(1)), Buffer.alloc(COUNTER_BYTES)]);
}

/** The marks by which members know the sealers of their fleet. */
class Marks {
  private readonly key: KeyObject;

  constructor(secret: string) {
    this.key = createSecretKey(derived(secret, '', 'sealers'));
  }

  /** @param sealer the sender and the salt, as in the head of a message */
  of(sealer: Uint8Array): Buffer {
    return createHmac('sha256', this.key).update(sealer).digest().subarray(0, MARK_BYTES);
  }

  hold(origin: string): boolean {
    const bytes = Buffer.from(origin, 'latin1');
    const at = bytes.byteLength - MARK_BYTES;
    return timingSafeEqual(this.of(bytes.subarray(0, at)), bytes.subarray(at));
  }
}

/** Opens the messages of senders with the same secret. Caches the keys of the sealers that were verified last. */
export class MessageOpener {
  private readonly marks: Marks;
  private readonly ciphers = new Map<string, SubjectCipher>();
  /** Sealers with a right mark of which no message was verified yet. */
  private readonly unverified = new Map<string, SubjectCipher>();

  constructor(
    private readonly secret: string,
    private readonly sealersKept: number,
    private readonly use: SealedUse = 'messages',
  ) {
    this.marks = new Marks(secret);
  }

  /** Reads the unverified envelope of a sealed message. Returns null if the bytes do not have the form of one. */
  static peek(sealed: Uint8Array): Envelope | null {
    const bytes = asBuffer(sealed);
    if (bytes.byteLength < FIXED_BYTES || bytes[0] !== VERSION) return null;
    const idBytes = bytes.readUInt16LE(1);
    const incarnationBytes = bytes.readUInt16LE(3);
    if (idBytes > NAME_BYTES || incarnationBytes > NAME_BYTES) return null;
    const headBytes = FIXED_BYTES + idBytes + incarnationBytes;
    if (bytes.byteLength < headBytes) return null;
    const counterAt = headBytes - COUNTER_BYTES;
    const counter = bytes.readUInt32LE(counterAt) + bytes.readUInt32LE(counterAt + 4) * 2 ** 32;
    if (!Number.isSafeInteger(counter)) return null;
    return { origin: bytes.toString('latin1', 1, counterAt), counter, headBytes };
  }

  /** Whether a message of this sealer was opened before. */
  knows({ origin }: Envelope): boolean {
    return this.ciphers.has(origin);
  }

  /** Whether a message of this sealer can be opened at once, only after its key is derived, or never because the sealer does not know the secret. */
  asks({ origin }: Envelope): 'nothing' | 'key' | 'refusal' {
    if (this.ciphers.has(origin) || this.unverified.has(origin)) return 'nothing';
    return this.marks.hold(origin) ? 'key' : 'refusal';
  }

  /** Decrypts and verifies a payload sealed for this subject and reply subject. Returns null if the secret, a subject or any byte differs. */
  open(
    { origin, counter, headBytes }: Envelope,
    subject: string,
    reply: string,
    sealed: Uint8Array,
  ): Uint8Array | null {
    const known = this.ciphers.get(origin);
    const cipher = known ?? this.unverified.get(origin) ?? this.derive(origin);
    if (cipher === null) return null;
    const bytes = asBuffer(sealed);
    const payload = cipher.open(counter, subject, reply, bytes, headBytes);
    if (payload !== null && known === undefined) {
      this.unverified.delete(origin);
      keep(this.ciphers, origin, cipher, this.sealersKept);
    }
    return payload;
  }

  /** Null for a sealer without the secret. */
  private derive(origin: string): SubjectCipher | null {
    if (!this.marks.hold(origin)) return null;
    const cipher = cipherOf(this.secret, origin, this.use);
    keep(this.unverified, origin, cipher, this.sealersKept);
    return cipher;
  }
}

/** Adds a cipher, and drops the one that was added first over the limit. */
function keep(ciphers: Map<string, SubjectCipher>, origin: string, cipher: SubjectCipher, limit: number): void {
  ciphers.set(origin, cipher);
  if (ciphers.size <= limit) return;
  for (const oldest of ciphers.keys()) {
    ciphers.delete(oldest);
    return;
  }
}

function cipherOf(secret: string, origin: string, use: SealedUse): SubjectCipher {
  return new SubjectCipher(new Ocb(derived(secret, origin, use)));
}

/** @param salt a character a byte */
function derived(secret: string, salt: string, use: SealedUse | 'sealers'): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, Buffer.from(salt, 'latin1'), `shoal-${use}-${VERSION}`, KEY_BYTES));
}

/**
 * Seals and opens with the key of one sealer. What is authenticated with a payload are the subjects alone: the key binds the sender, and the
 * nonce the counter. The hash of the subjects is therefore the same for most messages, and is kept.
 */
class SubjectCipher {
  /** By subject and reply subject. */
  private readonly hashes = new Map<string, Map<string, AssociatedHash>>();
  private kept = 0;

  constructor(private readonly ocb: Ocb) {}

  seal(counter: number, subject: string, reply: string, payload: Uint8Array, message: Buffer, at: number): void {
    const known = this.hashes.get(subject)?.get(reply);
    const hash = known ?? this.hash(subject, reply);
    this.ocb.seal(counter, hash, payload, message, at);
    if (known === undefined) this.keep(subject, reply, hash);
  }

  open(counter: number, subject: string, reply: string, message: Buffer, at: number): Buffer | null {
    const known = this.hashes.get(subject)?.get(reply);
    const hash = known ?? this.hash(subject, reply);
    const payload = this.ocb.open(counter, hash, message, at);
    if (payload !== null && known === undefined) this.keep(subject, reply, hash);
    return payload;
  }

  /** The names of subjects contain no line breaks. */
  private hash(subject: string, reply: string): AssociatedHash {
    return this.ocb.hash(Buffer.from(`${subject}\n${reply}`));
  }

  private keep(subject: string, reply: string, hash: AssociatedHash): void {
    if (this.kept === SUBJECTS_KEPT) {
      this.hashes.clear();
      this.kept = 0;
    }
    const ofSubject = this.hashes.get(subject);
    if (ofSubject) ofSubject.set(reply, hash);
    else this.hashes.set(subject, new Map([[reply, hash]]));
    this.kept++;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
