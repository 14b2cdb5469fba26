import { randomBytes } from 'node:crypto';
import { headers } from '@nats-io/transport-node';
import type { BusMessage } from '../../../src/bus/bus.js';
import type { NatsBus } from '../../../src/bus/nats-bus.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import type { NatsOptions } from '../../../src/bus/nats-options.js';
import { MessageSealer, SEAL_SALT_BYTES, type Sender } from '../../../src/bus/seal.js';
import { encode } from '../../../src/wire/msgpack.js';

const WRONG_SECRET = 'a secret that is not the one of the fleet';

/** Somebody with the fleet's access to NATS, and without its secret: records all that is said, repeats it, and says things of its own. */
export class Intruder {
  readonly recorded: BusMessage[] = [];
  private recording = true;

  private constructor(readonly bus: NatsBus) {
    bus.subscribe('>', (message) => {
      if (this.recording) this.recorded.push(message);
    });
  }

  static async connect(access: NatsOptions): Promise<Intruder> {
    const intruder = new Intruder(await connectNats(access));
    await intruder.bus.flush();
    return intruder;
  }

  /** What is said from now on is not recorded: most of it is this intruder's own. */
  stopRecording(): void {
    this.recording = false;
  }

  /** Says a message, packed or not, in the name of a member: as plain bytes, and sealed with a secret of the intruder's. */
  forge(subject: string, message: unknown, as: Sender, reply?: string): void {
    const payload = message instanceof Uint8Array ? message : encode(message);
    this.bus.publish(subject, payload, reply);
    const sealer = new MessageSealer(WRONG_SECRET, as, randomBytes(SEAL_SALT_BYTES));
    this.bus.publish(subject, sealer.seal(subject, reply ?? '', payload), reply);
  }

  /** Claims, as the server would, that nobody listens where a message was sent whose answers go to this subject. */
  forgeNobody(subject: string): void {
    this.bus.connection.publish(subject, new Uint8Array(0), { headers: headers(503, 'No Responders') });
  }

  /** Says again all that was recorded, on the same subjects. */
  async replay(): Promise<void> {
    for (const { subject, payload, reply } of this.recorded) {
      if (!subject.startsWith('$') && !subject.startsWith('_')) this.bus.publish(subject, payload, reply ?? undefined);
    }
    await this.bus.flush();
  }

  close(): Promise<void> {
    return this.bus.close();
  }
}
