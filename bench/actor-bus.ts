import type { Bus } from '../src/bus/bus.js';
import { natsTransport } from '../src/bus/nats-transport.js';
import { sealTransport } from '../src/bus/sealed-transport.js';
import { SystemClock } from '../src/clock.js';
import { SystemRandom } from '../src/random.js';
import { SECRET } from './peer-sender.js';

/** The bus of benchmark `actor`, sealed as in a fleet. */

/** First token of all subjects. */
export const NAMESPACE = 'shoal';

/** The nats-server of the benchmark. */
export interface BenchNats {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** Connects to the server. Rejects with Unavailable or Refused, as `connectNats` does. */
export async function sealedBus(nats: BenchNats, self: { id: string; incarnation: string }): Promise<Bus> {
  const transport = await natsTransport({
    ...nats,
    name: `shoal bench ${self.id}`,
    signal: new AbortController().signal,
    onWaiting: () => undefined,
  });
  const clock = new SystemClock();
  return sealTransport(transport, { clock, random: new SystemRandom(), secret: SECRET, self, namespace: NAMESPACE })
    .bus;
}
