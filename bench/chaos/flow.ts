import type { Socket } from 'node:net';
import type { WireCondition } from './wires.js';

/** Bytes that may wait in a proxy for one direction of a connection before it reads no more. */
const WAITING_BYTES = 256 * 1024;
/** Interval at which a slow flow writes its due bytes. */
const SLICE_MS = 10;

interface Piece {
  readonly bytes: Buffer;
  readonly dueMs: number;
}

/** One direction of a proxied connection: bytes are forwarded as the current condition allows. */
export class Flow {
  private readonly waiting: Piece[] = [];
  private waitingBytes = 0;
  private passedBytes = 0;
  private nextFlipAt: number | null = null;
  private lastByteAt: number | null = null;
  private timer: NodeJS.Timeout | null = null;
  private ended = false;
  /** Bits that a slow flow may send now. */
  private creditBits = 0;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly condition: () => WireCondition,
  ) {
    from.on('data', (bytes: Buffer) => this.add(bytes));
    from.on('end', () => {
      this.ended = true;
      this.pump();
    });
    to.on('drain', () => this.pump());
    from.on('close', () => this.stop());
  }

  /** Bytes that came before the flow was there. */
  add(bytes: Buffer): void {
    const condition = this.condition();
    const delayMs = condition.kind === 'slow' ? condition.delayMs : 0;
    this.waiting.push({ bytes, dueMs: performance.now() + delayMs });
    this.waitingBytes += bytes.byteLength;
    if (this.waitingBytes > WAITING_BYTES) this.from.pause();
    this.pump();
  }

  /** Sends what may be sent now. Called again after each change of the condition. */
  pump(): void {
    if (this.timer !== null) return;
    const condition = this.condition();
    if (condition.kind === 'silent') return;
    if (condition.kind === 'reset') this.reset();
    else if (condition.kind === 'slow') this.sendSlowly(condition.bitsPerS);
    else this.sendAll(condition);
  }

  private sendAll(condition: WireCondition): void {
    while (this.waiting.length > 0 && !this.to.writableNeedDrain) this.send(this.waiting.shift()!.bytes, condition);
    this.afterSending();
  }

  private sendSlowly(bitsPerS: number): void {
    this.creditBits = Math.min(this.creditBits + (bitsPerS * SLICE_MS) / 1000, bitsPerS);
    const nowMs = performance.now();
    while (this.waiting.length > 0 && this.waiting[0]!.dueMs <= nowMs && this.creditBits >= 8) {
      const { bytes, dueMs } = this.waiting.shift()!;
      const count = Math.min(bytes.byteLength, Math.floor(this.creditBits / 8));
      if (count < bytes.byteLength) this.waiting.unshift({ bytes: bytes.subarray(count), dueMs });
      this.creditBits -= 8 * count;
      this.send(bytes.subarray(0, count), { kind: 'open' });
    }
    if (this.waiting.length > 0) {
      this.timer = setTimeout(() => {
        this.timer = null;
        this.pump();
      }, SLICE_MS);
    }
    this.afterSending();
  }

  private send(bytes: Buffer, condition: WireCondition): void {
    this.waitingBytes -= bytes.byteLength;
    if (condition.kind === 'truncate')
      this.lastByteAt ??= this.passedBytes + 1 + condition.random.below(condition.mostBytes);
    if (condition.kind === 'cut') this.lastByteAt ??= condition.at;
    if (this.lastByteAt !== null && this.passedBytes + bytes.byteLength > this.lastByteAt) {
      if (condition.kind === 'cut') condition.onSpoilt();
      this.to.end(bytes.subarray(0, Math.max(0, this.lastByteAt - this.passedBytes)));
      this.from.destroy();
      return;
    }
    const sent = this.spoilt(bytes, condition);
    this.passedBytes += sent.byteLength;
    if (this.to.writable) this.to.write(sent);
  }

  private spoilt(bytes: Buffer, condition: WireCondition): Buffer {
    if (condition.kind === 'corrupt') return this.corrupted(bytes, condition);
    const at = condition.kind === 'flip' ? condition.at - this.passedBytes : -1;
    if (condition.kind !== 'flip' || at < 0 || at >= bytes.byteLength) return bytes;
    const copy = Buffer.from(bytes);
    copy[at]! ^= 1 << (condition.at % 8);
    condition.onSpoilt();
    return copy;
  }

  private corrupted(bytes: Buffer, condition: Extract<WireCondition, { kind: 'corrupt' }>): Buffer {
    const gap = () => 1 + condition.random.below(2 * condition.everyBytes);
    this.nextFlipAt ??= this.passedBytes + gap();
    if (this.nextFlipAt >= this.passedBytes + bytes.byteLength) return bytes;
    const copy = Buffer.from(bytes);
    while (this.nextFlipAt < this.passedBytes + bytes.byteLength) {
      copy[Math.max(0, this.nextFlipAt - this.passedBytes)]! ^= 1 << condition.random.below(8);
      this.nextFlipAt += gap();
    }
    return copy;
  }

  private afterSending(): void {
    if (this.waitingBytes <= WAITING_BYTES) this.from.resume();
    if (this.ended && this.waiting.length === 0) this.to.end();
  }

  private reset(): void {
    this.stop();
    this.from.resetAndDestroy();
    this.to.resetAndDestroy();
  }

  private stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.ended) return;
    this.waiting.length = 0;
    this.to.destroy();
  }
}
