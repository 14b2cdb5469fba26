import { Deferred } from '../../async/deferred.js';
import { Corrupt, fromWire, type ShoalError } from '../../errors.js';
import type { ObjectValue } from '../../objects/object-value.js';
import type { ObjectExchange, ObjectLine } from './object-link.js';
import type { ObjectClientMessage, ObjectServerMessage } from './object-messages.js';

/** Sends an object in parts. It reads the value until its result settles, or later, and holds a reference for that time. */
export class UploadExchange implements ObjectExchange {
  private readonly outcome = new Deferred<unknown>();
  private answered = false;
  private sent = false;
  private line: ObjectLine | null = null;

  constructor(
    private readonly head: Extract<ObjectClientMessage, { type: 'write' | 'copy' }>,
    private readonly value: ObjectValue,
  ) {
    value.hold();
  }

  get result(): Promise<unknown> {
    return this.outcome.promise;
  }

  start(line: ObjectLine): void {
    this.line = line;
    line.send(this.head);
    void this.sendParts(line);
  }

  target(): null {
    return null;
  }

  /** An early answer refuses the object: the parts that have not been sent are not. */
  received(message: ObjectServerMessage): boolean {
    if (message.type === 'answer') this.outcome.resolve(message.value);
    else if (message.type === 'error') this.outcome.reject(fromWire(message));
    else throw new Corrupt(`a peer answered an object with '${message.type}'`);
    this.answered = true;
    if (!this.sent) this.line?.send({ type: 'stop' });
    return true;
  }

  fail(reason: ShoalError): void {
    this.answered = true;
    this.outcome.reject(reason);
  }

  /** It was never started. */
  abort(): void {
    this.value.release();
  }

  private async sendParts(line: ObjectLine): Promise<void> {
    const { value } = this;
    try {
      for (const [index, bytes] of value.extents.entries()) {
        if (!(line.payloads.tryAcquire() || (await line.payloads.acquire()))) return;
        if (this.answered) {
          line.payloads.release();
          return;
        }
        value.hold();
        const released = () => {
          value.release();
          line.payloads.release();
        };
        if (index === value.extents.length - 1) this.sent = true;
        line.send({ type: 'part', digest: value.digests[index]! }, { bytes, released });
      }
      this.sent = true;
    } finally {
      value.release();
    }
  }
}
