import type { Bus } from '../src/bus/bus.js';
import { subjectToken } from '../src/bus/subject.js';
import { NAMESPACE } from './actor-bus.js';
import { ECHO_BYTES } from './bare-echo.js';

/** A request over the sealed bus without actors: what sealing alone adds to a bare request over NATS. */

const SUBJECT = `${NAMESPACE}.bench.sealed`;

/** Answers each sealed request with its own bytes. */
export function serveSealedEcho(bus: Bus): void {
  bus.subscribe(SUBJECT, ({ payload, reply }) => {
    if (reply !== null) bus.publish(reply, payload);
  });
}

/** Sends sealed requests, one at a time. */
export class SealedEcho {
  private readonly bytes = new Uint8Array(ECHO_BYTES).fill(7);
  private readonly inbox: string;
  private answered: (() => void) | null = null;

  constructor(
    private readonly bus: Bus,
    id: string,
  ) {
    this.inbox = `${SUBJECT}.${subjectToken(id)}`;
    bus.subscribe(this.inbox, () => this.answered?.());
  }

  /** Resolves with the answer. */
  roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      this.answered = resolve;
      this.bus.publish(SUBJECT, this.bytes, this.inbox);
    });
  }

  close(): Promise<void> {
    return this.bus.close();
  }
}
