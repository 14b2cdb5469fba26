import { z } from 'zod';
import type { KeyValue } from '../bus/key-value.js';
import { Refused } from '../errors.js';
import { CLIENT_NAME_CHARS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';

/** The charter of a fleet: the settings that all members must share, and the procedure to join it. */

/** Version of the members' messages and behavior. It increases with every incompatible change. */
export const CHARTER_FORMAT_VERSION = 4;

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

/** A charter as the bucket keeps it. Each one that replaces another has the next generation, so that an old one is known as such. */
const StoredCharter = Charter.extend({ generation: z.int().min(1) });
export type StoredCharter = z.infer<typeof StoredCharter>;

/** The only part that is read of a charter of another version. */
const Version = z.looseObject({ formatVersion: z.int() });
const Generation = z.looseObject({ generation: z.int().min(1) });

/** Who is heard: members of this fleet, only processes without its cluster secret, nobody; or it is unknown, because the bus was lost. */
export type Alive = 'members' | 'strangers' | 'nobody' | 'unknown';

export interface JoinOptions {
  /** Listens for live members of the fleet. Called only if this process does not fit the charter. */
  readonly anybodyAlive: () => Promise<Alive>;
}

const KEY = 'charter';

/**
 * Joins the fleet's charter. The first process founds the charter. A process that does not fit it replaces it if no member is alive, and
 * restores it if a process without the secret has overwritten it. Any number of processes may join concurrently: all writes are
 * compare-and-set.
 * @throws Refused with each field that differs, both values and a remedy; the errors of `kv`
 */
export async function joinCharter(
  kv: KeyValue,
  mine: Charter,
  { anybodyAlive }: JoinOptions,
): Promise<'founded' | 'joined' | 'replaced' | 'restored'> {
  let before: number | null = null;
  for (;;) {
    const found = await kv.get(KEY);
    before ??= found?.revision ?? 0;
    if (found === null) {
      if (await kv.create(KEY, pack({ ...mine, generation: 1 }))) return 'founded';
      continue;
    }
    const difference = differenceOf(found.value, mine);
    if (difference === null) {
      // Another process may have listened before this one could be heard, and be about to replace the charter. Any revision newer than the one
      // it read makes its compare-and-set fail.
      if (found.revision !== before || (await kv.update(KEY, found.value, found.revision))) return 'joined';
      continue;
    }
    before = null;
    const alive = await anybodyAlive();
    const readable = isCharter(found.value);
    // Strangers do not live under a charter that this fleet can read, and live members did not write one that it cannot.
    const replaced = alive === 'nobody' || (alive === 'strangers' && readable);
    if (replaced || (alive === 'members' && !readable)) {
      const next = pack({ ...mine, generation: (generationOf(found.value) ?? 0) + 1 });
      if (await kv.update(KEY, next, found.revision)) return replaced ? 'replaced' : 'restored';
      continue;
    }
    // The live members may have replaced this charter in the meantime.
    const now = await kv.get(KEY);
    if (now && differenceOf(now.value, mine) !== null) throw new Refused(difference);
  }
}

/** The charter in the bucket; null if there is none that this process can read. */
export async function readCharter(kv: KeyValue): Promise<StoredCharter | null> {
  const found = await kv.get(KEY);
  return found && readMessage(StoredCharter, found.value);
}

/**
 * Puts the charter of a living fleet back if the bucket has none, one that cannot be read, or an older one. Returns whether it did.
 * A charter of a later generation stays: another fleet has replaced this one.
 */
export async function restoreCharter(kv: KeyValue, charter: StoredCharter): Promise<boolean> {
  const found = await kv.get(KEY);
  const value = pack(charter);
  if (found === null) return kv.create(KEY, value);
  const generation = generationOf(found.value);
  if (generation !== null && generation >= charter.generation) return false;
  return kv.update(KEY, value, found.revision);
}

function pack(charter: StoredCharter): Uint8Array {
  return encode(charter);
}

function generationOf(bytes: Uint8Array): number | null {
  return readMessage(Generation, bytes)?.generation ?? null;
}

function isCharter(bytes: Uint8Array): boolean {
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
function differenceOf(bytes: Uint8Array, mine: Charter): string | null {
  const version = readMessage(Version, bytes)?.formatVersion;
  if (version !== undefined && version !== mine.formatVersion) {
    return refusal(['formatVersion'], { formatVersion: version }, mine, '');
  }
  const theirs = readMessage(StoredCharter, bytes);
  if (theirs === null) {
    return `cannot read the fleet's charter on this NATS: it was written with another cluster secret or another release; give this process the secret (SHOAL_SECRET) and the release of the fleet, or ${OWN_FLEET_REMEDY}`;
  }
  const fields = (Object.keys(REMEDIES) as Field[]).filter((field) => theirs[field] !== mine[field]);
  const models = `; the model is ${theirs.model} there, ${mine.model} here`;
  return fields.length === 0 ? null : refusal(fields, theirs, mine, models);
}

const OWN_FLEET_REMEDY =
  'start a separate fleet with --namespace, or stop all processes of that fleet first, so that its charter is replaced';

function refusal(fields: readonly Field[], theirs: Partial<Charter>, mine: Charter, models: string): string {
  const differences = fields.map((field) => `${field} is ${theirs[field]} there, ${mine[field]} here`);
  const remedies = new Set(fields.map((field) => REMEDIES[field]));
  const causes = `${differences.join('; ')}${models}`;
  const remedy = `${[...remedies].join(' and ')}, or ${OWN_FLEET_REMEDY}`;
  return `cannot join the fleet on this NATS: this process does not fit its charter: ${causes}; ${remedy}`;
}
