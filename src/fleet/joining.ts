import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import { Unavailable } from '../errors.js';
import { ANNOUNCE_INTERVAL_MS, BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { Log } from '../log.js';
import { publishBestEffort } from './best-effort.js';
import { type Alive, CHARTER_FORMAT_VERSION, type Charter, joinCharter } from './charter.js';
import { type FleetSubjects, fleetSubjects } from './subjects.js';

/** Joins the charter of the fleet, over any transport. */

/** Of a fleet that is not heard within two announcements' time, and some more for busy processes, nobody lives. @internal exported for tests. */
export const LISTEN_FOR_MEMBERS_MS = 2 * ANNOUNCE_INTERVAL_MS + 200;

export interface JoiningOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: { readonly namespace: string; readonly replicas: number };
  readonly fingerprint: string;
  /** The name of the model, for people. */
  readonly model: string;
}

/**
 * Joins the charter of the fleet. A transport without buckets has none, and the log says so. To be called right before this process can be heard.
 * @throws Refused if this process does not fit the fleet
 */
export async function joinFleet({ transport, clock, log, config, fingerprint, model }: JoiningOptions): Promise<void> {
  const mine: Charter = {
    formatVersion: CHARTER_FORMAT_VERSION,
    blockTokens: BLOCK_TOKENS,
    segmentBlocks: SEGMENT_BLOCKS,
    fingerprint,
    replicas: config.replicas,
    model,
  };
  const subjects = fleetSubjects(config.namespace);
  try {
    const kv = await transport.openKeyValue(`shoal-${config.namespace}`);
    const how = await joinCharter(kv, mine, { anybodyAlive: () => anybodyAlive(transport, clock, subjects) });
    if (how === 'replaced') log.warn(mine, 'the charter of an older fleet, of which nobody lives, was replaced');
    else log.info(mine, how === 'founded' ? 'founded the fleet' : 'fits the charter of the fleet');
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const consequence =
      'the fleet has no charter: nobody is refused at the start, but workers with another model are ignored';
    log.warn({ reason: error.message }, consequence);
  }
}

/**
 * Listens for workers and coordinators, for `LISTEN_FOR_MEMBERS_MS` at most. While the bus is lost members could be missed, so they count as
 * heard. @internal exported for tests.
 */
export async function anybodyAlive(transport: Transport, clock: Clock, subjects: FleetSubjects): Promise<Alive> {
  const { bus } = transport;
  const strangers = () => transport.strangerMessages?.() ?? 0;
  const before = strangers();
  const endings: (() => void)[] = [];
  try {
    return await new Promise<Alive>((resolve) => {
      const timer = clock.after(LISTEN_FOR_MEMBERS_MS, () => resolve(strangers() > before ? 'strangers' : 'nobody'));
      endings.push(
        () => timer.cancel(),
        bus.onStatus(() => resolve('members')),
      );
      for (const subject of [subjects.announce, subjects.coordinator]) {
        const subscription = bus.subscribe(subject, () => resolve('members'));
        endings.push(() => subscription.unsubscribe());
      }
      if (!publishBestEffort(bus, subjects.hello, new Uint8Array())) resolve('members');
    });
  } finally {
    for (const end of endings) end();
  }
}
