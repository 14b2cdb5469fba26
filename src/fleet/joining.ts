import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import { Refused, Unavailable, Unsupported } from '../errors.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../limits.js';
import type { Log } from '../log.js';
import { encode } from '../wire/msgpack.js';
import { anybodyAlive } from './anybody-alive.js';
import { fleetBucket, openBucket } from './buckets.js';
import { CHARTER_FORMAT_VERSION, type Charter, joinCharter, provisional, type StoredCharter } from './charter.js';
import { CharterKeeper } from './charter-keeper.js';
import { askedAbout, type CharterWordOptions, contradiction, saidBy, speakFor } from './charter-word.js';
import { fleetSubjects } from './subjects.js';
import { tryPublish } from './try-publish.js';

/** Joins the fleet's charter when a process starts. */

/** How long a process waits at its start for a bucket that NATS cannot serve now: a cluster may be choosing its leader. */
const BUCKET_WAIT_MS = 15_000;
/** Pause between two attempts to use the bucket. */
const BUCKET_RETRY_MS = 500;

export interface JoiningOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: { readonly namespace: string; readonly replicas: number };
  readonly fingerprint: string;
  /** Name of the model, for people. */
  readonly model: string;
  /** Called if this process turns out not to fit a living fleet whose charter NATS had lost. The process has to exit. */
  readonly onOutlawed: (why: string) => void;
}

/** The charter of a process that has joined. */
export interface FleetCharter {
  /** Keeps the charter, or joins it as soon as its bucket can be used. Rejects with the bucket's errors. */
  check(): Promise<void>;
  /** Whether this process is known to have the fleet's secret; see `CharterKeeper`. */
  readonly provesSecret: boolean;
}

/**
 * Joins the fleet's charter. If the bucket cannot be used, it asks the members on the bus, logs a warning and joins without a charter. Call it right
 * before this process announces itself.
 * @throws Refused if this process does not fit the fleet
 */
export async function joinFleet(options: JoiningOptions): Promise<FleetCharter> {
  const mine = charterOf(options);
  const keeper = await joinAtStart(options, mine);
  return new Membership(options, mine, keeper);
}

class Membership implements FleetCharter {
  private isUnfit = false;
  private fallSilent: () => void = () => {};

  constructor(
    private readonly options: JoiningOptions,
    private readonly mine: Charter,
    private keeper: CharterKeeper | null,
  ) {
    if (keeper === null) this.fallSilent = speakFor(wordOf(options), provisional(mine));
  }

  get provesSecret(): boolean {
    return this.keeper?.provesSecret ?? false;
  }

  async check(): Promise<void> {
    if (this.keeper !== null) return this.keeper.check();
    if (this.isUnfit) return;
    try {
      this.keeper = await joinNow(this.options, this.mine, { isMember: true });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.isUnfit = true;
      // The charter's author may be gone, while this process already serves.
      this.options.log.error({}, `this process joined without a charter, and does not fit it: ${error.message}`);
    }
    this.fallSilent();
  }
}

/** Null without a charter. */
async function joinAtStart(options: JoiningOptions, mine: Charter): Promise<CharterKeeper | null> {
  const { transport, clock, log } = options;
  let told: string | null = null;
  const untilMs = clock.now() + BUCKET_WAIT_MS;
  for (;;) {
    try {
      return await joinNow(options, mine, { isMember: false });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      const mayCome = !transport.bus.connected || clock.now() < untilMs;
      if (error instanceof Unsupported || !mayCome) {
        const difference = await contradiction(wordOf(options), provisional(mine));
        if (difference !== null) throw new Refused(difference);
        const consequence =
          'the fleet has no charter until its bucket can be used: processes that start are checked only against members that answer';
        log.warn({ reason: error.message }, consequence);
        return null;
      }
      if (error.message !== told)
        log.info({ reason: error.message }, 'waiting for the bucket with the charter of the fleet');
      told = error.message;
      await new Promise<void>((resolve) => clock.after(BUCKET_RETRY_MS, resolve));
    }
  }
}

function charterOf({ config, fingerprint, model }: JoiningOptions): Charter {
  return {
    formatVersion: CHARTER_FORMAT_VERSION,
    blockTokens: BLOCK_TOKENS,
    segmentBlocks: SEGMENT_BLOCKS,
    fingerprint,
    replicas: config.replicas,
    model,
  };
}

function wordOf({ transport, clock, config }: JoiningOptions): CharterWordOptions {
  return { bus: transport.bus, clock, hello: fleetSubjects(config.namespace).hello };
}

async function joinNow(
  options: JoiningOptions,
  mine: Charter,
  { isMember }: { readonly isMember: boolean },
): Promise<CharterKeeper> {
  const { transport, clock, log, config, onOutlawed } = options;
  const subjects = fleetSubjects(config.namespace);
  const kv = await openBucket(transport, fleetBucket(config.namespace));
  const heard = { said: [subjects.announce, subjects.coordinator], ask: subjects.hello };
  const listen = (timeMs: number) => anybodyAlive(transport, clock, heard, timeMs);
  const joined = await joinCharter(kv, mine, {
    ...{ anybodyAlive: listen, isMember, clock },
    contradiction: () => contradiction(wordOf(options), provisional(mine)),
  });
  const { bus } = transport;
  const say = (said: StoredCharter) => void tryPublish(bus, subjects.hello, encode(said));
  const keeper = new CharterKeeper(joined, { kv, clock, log, say, onOutlawed });
  // Most of these messages are empty. The subscription ends with the bus.
  bus.subscribe(subjects.hello, ({ payload }) => {
    const [said, asked] = [saidBy(payload), askedAbout(payload)];
    if (said !== null) keeper.heard(said);
    if (asked !== null) keeper.asked(asked);
  });
  const { how } = joined;
  if (how === 'replaced') log.warn(mine, 'replaced the charter of an older fleet without live members');
  else if (how === 'restored')
    log.warn(mine, 'restored the charter, which a process without the cluster secret had overwritten');
  else log.info(mine, how === 'founded' ? 'founded the fleet' : 'joined the fleet under its charter');
  return keeper;
}
