import { z } from 'zod';
import type { KeyValue } from '../bus/key-value.js';
import type { Clock } from '../clock.js';
import { Refused } from '../errors.js';
import { ANNOUNCE_INTERVAL_MS, BUS_GRACE_MS, CLIENT_NAME_CHARS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';

/** The charter of a fleet: the settings that all members must share, and the procedure to join it. */

/** Version of the members' messages and behavior. It increases with every incompatible change. */
export const CHARTER_FORMAT_VERSION = 5;

const Charter = z.strictObject({
  formatVersion: z.int(),
  blockTokens: z.int(),
  segmentBlocks: z.int(),
  fingerprint: z.string().length(64),
  replicas: z.int(),
  /** Name of the model, for people. Members compare fingerprints, not names. */
  model: z.string().max(CLIENT_NAME_CHARS),
});
/** The settings that all members of a fleet must share. */
export type Charter = z.infer<typeof Charter>;

/**
 * A charter as the bucket keeps it. A replacement has the next generation, so that an old charter is recognized. The first
 * generation is provisional: its founder found no charter, perhaps because NATS had just lost the charter of a fleet whose members were not
 * connected yet. Such members restore their charter. A charter that survives `PROVISIONAL_MS` gets the second generation.
 */
export const StoredCharter = Charter.extend({ generation: z.int().min(1) });
export type StoredCharter = z.infer<typeof StoredCharter>;

/** The only part of another version's charter that is read. */
const Version = z.looseObject({ formatVersion: z.int() });
const Generation = z.looseObject({ generation: z.int().min(1) });

/** The charter of a process that has found none. */
export function provisional(charter: Charter): StoredCharter {
  return { ...charter, generation: PROVISIONAL_GENERATION };
}

/** The senders heard on the bus: members of this fleet, only processes without its cluster secret, or none; unknown if the bus was lost. */
export type Alive = 'members' | 'strangers' | 'nobody' | 'unknown';

/** How long connected members may take to restore a charter that NATS lost. */
const RESTORE_MS = 6_000;
/** How often a process that waits for another charter looks. */
const LOOK_INTERVAL_MS = 200;
/** Listening time for members that are connected: they answer at once. */
const ANSWER_MS = 300;
/**
 * How long a founded charter is provisional, and listening time for members before their charter is replaced. Longer than the members take to
 * be connected again after NATS was started, with two announcements.
 */
export const PROVISIONAL_MS = BUS_GRACE_MS + 2 * ANNOUNCE_INTERVAL_MS + 200;

const PROVISIONAL_GENERATION = 1;

export interface JoinOptions {
  /** Listens for live members of the fleet, for at most this time. Called only if this process finds no charter that it fits. */
  readonly anybodyAlive: (timeMs: number) => Promise<Alive>;
  /** How the charter of a living member differs from this process's; null if no member says that it does. Called before founding beside members. */
  readonly contradiction?: () => Promise<string | null>;
  /** This process is a member without a charter: like other members, it puts its charter in the place of none at once. */
  readonly isMember?: boolean;
  readonly clock: Clock;
}

/** How a process joined, and the charter that it joined. */
export interface Joined {
  readonly how: 'founded' | 'joined' | 'replaced' | 'restored';
  readonly charter: StoredCharter;
}

/** The charter's key in the bucket of the fleet. */
export const CHARTER_KEY = 'charter';

/**
 * Joins the fleet's charter. If there is none, and no member is there to put it back, this process founds it. A process that does not fit the
 * charter replaces it if no member is alive, and restores it if a process without the secret has overwritten it. Any number of processes may
 * join concurrently: all writes are compare-and-set.
 * @throws Refused with each field that differs, both values and a remedy; the errors of `kv`
 */
export async function joinCharter(kv: KeyValue, mine: Charter, options: JoinOptions): Promise<Joined> {
  const { anybodyAlive, contradiction, isMember = false, clock } = options;
  const first = provisional(mine);
  const waitUntilMs = clock.now() + RESTORE_MS;
  const look = () => new Promise<void>((resolve) => clock.after(LOOK_INTERVAL_MS, resolve));
  let before: number | null = null;
  let heardMembers = false;
  for (;;) {
    const found = await kv.get(CHARTER_KEY);
    const mayWait = clock.now() < waitUntilMs;
    before ??= found?.revision ?? 0;
    if (found === null) {
      const alive = mayWait && !isMember ? await anybodyAlive(ANSWER_MS) : 'nobody';
      heardMembers ||= alive === 'members';
      // Members restore the charter that NATS has lost, or this process has missed the founding of a new fleet.
      if (alive === 'members' || alive === 'unknown') {
        await look();
        continue;
      }
      // They may be members that never had one.
      const difference = heardMembers ? ((await contradiction?.()) ?? null) : null;
      if (difference !== null) throw new Refused(difference);
      if (await kv.create(CHARTER_KEY, pack(first))) return { how: 'founded', charter: first };
      continue;
    }
    const difference = misfit(found.value, mine);
    if (difference === null) {
      // Another process may have listened before this one could be heard, and be about to replace the charter. Any revision newer than the one
      // it read makes its compare-and-set fail.
      if (found.revision !== before || (await kv.update(CHARTER_KEY, found.value, found.revision)))
        return { how: 'joined', charter: { ...mine, generation: generationOf(found.value) ?? first.generation } };
      continue;
    }
    before = null;
    if (mayWait && generationOf(found.value) === PROVISIONAL_GENERATION) {
      await look();
      continue;
    }
    const alive = await anybodyAlive(PROVISIONAL_MS);
    const readable = isCharter(found.value);
    // Strangers do not live under a charter that this fleet can read, and live members did not write one that it cannot.
    const replaced = alive === 'nobody' || (alive === 'strangers' && readable);
    if (replaced || (alive === 'members' && !readable)) {
      const charter = { ...mine, generation: (generationOf(found.value) ?? 0) + 1 };
      if (await kv.update(CHARTER_KEY, pack(charter), found.revision))
        return { how: replaced ? 'replaced' : 'restored', charter };
      continue;
    }
    // The live members may have replaced this charter in the meantime.
    const now = await kv.get(CHARTER_KEY);
    if (now && misfit(now.value, mine) !== null) throw new Refused(difference);
  }
}

/** The charter in the bucket; null if there is none that this process can read. @internal exported for tests. */
export async function readCharter(kv: KeyValue): Promise<StoredCharter | null> {
  const found = await kv.get(CHARTER_KEY);
  return found && readMessage(StoredCharter, found.value);
}

/** A stored charter that a member does not fit, and that is no older than its own. */
export interface ForeignCharter {
  readonly generation: number;
  /** Of the bucket's value. */
  readonly revision: number;
  /** How it differs from the member's, with a remedy. */
  readonly difference: string;
}

/**
 * The outcome of a check of the stored charter by a member: it is the member's; it was lost, unreadable or older, and the member has put its own
 * back; or it is foreign.
 */
export type Kept =
  | {
      readonly outcome: 'own' | 'restored';
      readonly charter: StoredCharter;
      /** Whether the member has written it now, or found it as it is; neither if another process changed it meanwhile. */
      readonly by: 'written' | 'found' | 'neither';
    }
  | ({ readonly outcome: 'foreign' } & ForeignCharter);

/** Compares the stored charter with a member's, and restores the member's if that is later. `proven`: it survived `PROVISIONAL_MS`. */
export async function keepCharter(kv: KeyValue, own: StoredCharter, proven: boolean): Promise<Kept> {
  const found = await kv.get(CHARTER_KEY);
  if (found === null) return restored(own, await kv.create(CHARTER_KEY, pack(own)));
  const generation = generationOf(found.value);
  const difference = misfit(found.value, own);
  if (difference === null && generation !== null) {
    const least = proven ? PROVISIONAL_GENERATION + 1 : PROVISIONAL_GENERATION;
    const charter = { ...own, generation: Math.max(own.generation, generation, least) };
    if (charter.generation === generation) return { outcome: 'own', charter, by: 'found' };
    const written = await kv.update(CHARTER_KEY, pack(charter), found.revision);
    return { outcome: 'own', charter, by: written ? 'written' : 'neither' };
  }
  if (generation === null || generation < own.generation)
    return restored(own, await kv.update(CHARTER_KEY, pack(own), found.revision));
  return { outcome: 'foreign', generation, revision: found.revision, difference: difference! };
}

/** Puts a member's charter in the place of a foreign one. Null if the stored value has changed meanwhile. */
export async function reclaimCharter(
  kv: KeyValue,
  own: StoredCharter,
  { generation, revision }: ForeignCharter,
): Promise<StoredCharter | null> {
  const charter = { ...own, generation: generation + 1 };
  return (await kv.update(CHARTER_KEY, pack(charter), revision)) ? charter : null;
}

/** Whether a fleet of this charter has waited too short a time for others to put theirs back. */
export function isProvisional({ generation }: StoredCharter): boolean {
  return generation === PROVISIONAL_GENERATION;
}

/** Whether processes under these charters may be members of one fleet. */
export function isSameFleet(one: Charter, other: Charter): boolean {
  return (Object.keys(REMEDIES) as Field[]).every((field) => one[field] === other[field]);
}

function restored(charter: StoredCharter, written: boolean): Kept {
  return written ? { outcome: 'restored', charter, by: 'written' } : { outcome: 'own', charter, by: 'neither' };
}

function pack(charter: StoredCharter): Uint8Array {
  return encode(charter);
}

function generationOf(bytes: Uint8Array): number | null {
  return readMessage(Generation, bytes)?.generation ?? null;
}

/** Whether this process can read a stored charter, perhaps one of another version. */
export function isCharter(bytes: Uint8Array): boolean {
  return readMessage(Version, bytes) !== null;
}

const REMEDIES = {
  formatVersion: 'run the same version of shoal everywhere',
  blockTokens: 'run the same version of shoal everywhere',
  segmentBlocks: 'run the same version of shoal everywhere',
  fingerprint: "set --model to the fleet's model",
  replicas: "set --replicas to the fleet's number of copies",
} as const;
type Field = keyof typeof REMEDIES;

/** The message that refuses this process if it does not fit a charter; null if it fits. */
export function misfit(bytes: Uint8Array, mine: Charter): string | null {
  const version = readMessage(Version, bytes)?.formatVersion;
  if (version !== undefined && version !== mine.formatVersion) {
    return refusal(['formatVersion'], { formatVersion: version }, mine, '');
  }
  const theirs = readMessage(StoredCharter, bytes);
  if (theirs === null) return UNREADABLE_CHARTER;
  const fields = (Object.keys(REMEDIES) as Field[]).filter((field) => theirs[field] !== mine[field]);
  const models = theirs.model === mine.model ? '' : `; the model is ${theirs.model} there, ${mine.model} here`;
  return fields.length === 0 ? null : refusal(fields, theirs, mine, models);
}

const OWN_FLEET_REMEDY =
  'start a separate fleet with --namespace, or stop all processes of that fleet first, so that its charter is replaced';

/** The message that refuses a process which cannot read the charter of a living fleet. */
export const UNREADABLE_CHARTER = `cannot read the fleet's charter on this NATS: it was written with another cluster secret or another release; give this process the secret (SHOAL_SECRET) and the release of the fleet, or ${OWN_FLEET_REMEDY}`;

function refusal(fields: readonly Field[], theirs: Partial<Charter>, mine: Charter, models: string): string {
  const differences = fields.map((field) => `${field} is ${theirs[field]} there, ${mine[field]} here`);
  const remedies = new Set(fields.map((field) => REMEDIES[field]));
  const causes = `${differences.join('; ')}${models}`;
  const remedy = `${[...remedies].join(' and ')}, or ${OWN_FLEET_REMEDY}`;
  return `cannot join the fleet on this NATS: this process does not fit its charter: ${causes}; ${remedy}`;
}
