import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import { Unavailable } from '../errors.js';
import { ANNOUNCE_INTERVAL_MS, BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { Log } from '../log.js';
import { type Alive, CHARTER_FORMAT_VERSION, type Charter, joinCharter, readCharter } from './charter.js';
import { CharterKeeper } from './charter-keeper.js';
import { type FleetSubjects, fleetSubjects } from './subjects.js';
import { tryPublish } from './try-publish.js';

/** Joins the fleet's charter when a process starts. */

/** A fleet that is silent for this time has no live member: two announcement intervals, and a margin for busy processes. @internal exported for tests. */
export const LISTEN_FOR_MEMBERS_MS = 2 * ANNOUNCE_INTERVAL_MS + 200;

export interface JoiningOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: { readonly namespace: string; readonly replicas: number };
  readonly fingerprint: string;
  /** Name of the model, for people. */
  readonly model: string;
}

/** The name of the bucket with the few values that a fleet shares. */
export function fleetBucket(namespace: string): string {
  return `shoal-${namespace}`;
}

/**
 * Joins the fleet's charter. On a transport without buckets it logs a warning and joins without a charter. Call it right before this
 * process announces itself. Returns the keeper of the charter, to be started and stopped with this process; null without a charter.
 * @throws Refused if this process does not fit the fleet
 */
export async function joinFleet(options: JoiningOptions): Promise<CharterKeeper | null> {
  const { transport, clock, log, config, fingerprint, model } = options;
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
    const kv = await transport.openKeyValue(fleetBucket(config.namespace));
    const how = await joinCharter(kv, mine, { anybodyAlive: () => anybodyAlive(transport, clock, subjects) });
    if (how === 'replaced') log.warn(mine, 'replaced the charter of an older fleet without live members');
    else if (how === 'restored')
      log.warn(mine, 'restored the charter, which a process without the cluster secret had overwritten');
    else log.info(mine, how === 'founded' ? 'founded the fleet' : 'joined the fleet under its charter');
    const charter = await readCharter(kv);
    return charter && new CharterKeeper(kv, charter, clock, log);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const consequence =
      'the fleet has no charter: processes are not checked at their start, but workers with another model are ignored';
    log.warn({ reason: error.message }, consequence);
    return null;
  }
}

/**
 * Listens for a worker or coordinator for at most `LISTEN_FOR_MEMBERS_MS`. Returns `unknown` if the bus is lost, because members could be missed. @internal exported for tests.
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
        bus.onStatus(() => resolve('unknown')),
      );
      for (const subject of [subjects.announce, subjects.coordinator]) {
        const subscription = bus.subscribe(subject, () => resolve('members'));
        endings.push(() => subscription.unsubscribe());
      }
      if (!tryPublish(bus, subjects.hello, new Uint8Array())) resolve('unknown');
    });
  } finally {
    for (const end of endings) end();
  }
}
