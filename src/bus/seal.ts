import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

/**
 * Seals messages with the cluster secret.
 *
 * A sealed message is encrypted, authenticated, and bound to its sender, the sender's incarnation, a counter and the subject.
 * `docs/PEER-PROTOCOL.md` specifies the bytes. The module uses no clock and no randomness.
 *
 * Each incarnation of each sender has its own key, HKDF-SHA256 (RFC 5869) of the secret, so that the counter alone is a nonce that never
 * repeats. The cipher is ChaCha20-Poly1305 (RFC 8439).
 */

const VERSION = 1;
const CIPHER = 'chacha20-poly1305';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const COUNTER_BYTES = 8;
/** The fixed part of the head: version, lengths of sender ID and incarnation, counter. */
const FIXED_BYTES = 1 + 2 + 2 + COUNTER_BYTES;
const NAME_BYTES = 512;

/** The use of a seal. Each use has keys of its own, so that each counts its messages separately. */
export type SealedUse = 'messages' | 'values';

/** One incarnation of a sender. */
export interface Sender {
  readonly id: string;
  readonly incarnation: string;
}

/** The sender of a message, and the message's number among those of the sender. Unverified until `MessageOpener.open` succeeds. */
export interface Envelope {
  readonly sender: Sender;
  readonly counter: number;
}

/** Bytes that sealing adds to a payload of this sender. */
export function sealBytes(sender: Sender): number {
  return FIXED_BYTES + Buffer.byteLength(sender.id) + Buffer.byteLength(sender.incarnation) + TAG_BYTES;
}

/** Seals the messages of one sender. */
export class MessageSealer {
  private readonly key: Buffer;
  private readonly head: Buffer;
  private readonly nonce = Buffer.alloc(NONCE_BYTES);
  private last = 0;

  constructor(secret: string, sender: Sender, use: SealedUse = 'messages') {
    this.key = keyOf(secret, sender, use);
    const id = Buffer.from(sender.id);
    const incarnation = Buffer.from(sender.incarnation);
    this.head = Buffer.alloc(FIXED_BYTES + id.byteLength + incarnation.byteLength);
    this.head.writeUInt8(VERSION, 0);
    this.head.writeUInt16LE(id.byteLength, 1);
    this.head.writeUInt16LE(incarnation.byteLength, 3);
    id.copy(this.head, 5);
    incarnation.copy(this.head, 5 + id.byteLength);
  }

  /** Number of the last message; 0 before the first. */
  get counter(): number {
    return this.last;
  }

  /** Seals a payload for one subject and reply subject. Each call takes the next counter. */
  seal(subject: string, reply: string, payload: Uint8Array): Uint8Array {
    const { head, nonce } = this;
    const counterAt = head.byteLength - COUNTER_BYTES;
    head.writeBigUInt64LE(BigInt(++this.last), counterAt);
    head.copy(nonce, NONCE_BYTES - COUNTER_BYTES, counterAt);
    const cipher = createCipheriv(CIPHER, this.key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(associated(head, subject, reply), { plaintextLength: payload.byteLength });
    const sealed = cipher.update(payload);
    cipher.final();
    const message = Buffer.allocUnsafe(head.byteLength + sealed.byteLength + TAG_BYTES);
    message.set(head);
    message.set(sealed, head.byteLength);
    message.set(cipher.getAuthTag(), head.byteLength + sealed.byteLength);
    return message;
  }
}

/** Opens the messages of senders with the same secret. Caches the keys of the senders that were verified last. */
export class MessageOpener {
  private readonly keys = new Map<string, Buffer>();

  constructor(
    private readonly secret: string,
    private readonly sendersKept: number,
    private readonly use: SealedUse = 'messages',
  ) {}

  /** Reads the unverified envelope of a sealed message. Returns null if the bytes do not have the form of one. */
  static peek(sealed: Uint8Array): Envelope | null {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    if (bytes.byteLength < FIXED_BYTES + TAG_BYTES || bytes[0] !== VERSION) return null;
    const idBytes = bytes.readUInt16LE(1);
    const incarnationBytes = bytes.readUInt16LE(3);
    if (idBytes > NAME_BYTES || incarnationBytes > NAME_BYTES) return null;
    const headBytes = FIXED_BYTES + idBytes + incarnationBytes;
    if (bytes.byteLength < headBytes + TAG_BYTES) return null;
    const counter = Number(bytes.readBigUInt64LE(headBytes - COUNTER_BYTES));
    if (!Number.isSafeInteger(counter)) return null;
    const id = bytes.toString('utf8', 5, 5 + idBytes);
    const incarnation = bytes.toString('utf8', 5 + idBytes, 5 + idBytes + incarnationBytes);
    return { sender: { id, incarnation }, counter };
  }

  /** Decrypts and verifies a payload sealed for this subject and reply subject. Returns null if the secret, a subject or any byte differs. */
  open({ sender }: Envelope, subject: string, reply: string, sealed: Uint8Array): Uint8Array | null {
    const headBytes = FIXED_BYTES + sealed[1]! + 256 * sealed[2]! + sealed[3]! + 256 * sealed[4]!;
    const head = sealed.subarray(0, headBytes);
    const nonce = Buffer.alloc(NONCE_BYTES);
    nonce.set(head.subarray(headBytes - COUNTER_BYTES), NONCE_BYTES - COUNTER_BYTES);
    const name = `${sender.id}\n${sender.incarnation}`;
    const known = this.keys.get(name);
    const key = known ?? keyOf(this.secret, sender, this.use);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    const body = sealed.subarray(headBytes, sealed.byteLength - TAG_BYTES);
    decipher.setAAD(associated(head, subject, reply), { plaintextLength: body.byteLength });
    decipher.setAuthTag(sealed.subarray(sealed.byteLength - TAG_BYTES));
    const payload = decipher.update(body);
    try {
      decipher.final();
    } catch {
      return null;
    }
    if (known === undefined) this.keep(name, key);
    return payload;
  }

  private keep(name: string, key: Buffer): void {
    this.keys.set(name, key);
    if (this.keys.size <= this.sendersKept) return;
    for (const oldest of this.keys.keys()) {
      this.keys.delete(oldest);
      return;
    }
  }
}

function keyOf(secret: string, { id, incarnation }: Sender, use: SealedUse): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, `${id}\n${incarnation}`, `shoal-${use}-${VERSION}`, KEY_BYTES));
}

/** The associated data, authenticated with the payload. Subjects contain no line breaks. */
function associated(head: Uint8Array, subject: string, reply: string): Buffer {
  const names = `${subject}\n${reply}`;
  const bytes = Buffer.allocUnsafe(head.byteLength + Buffer.byteLength(names));
  bytes.set(head);
  bytes.write(names, head.byteLength);
  return bytes;
}
