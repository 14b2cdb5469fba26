import { z } from 'zod';
import type { KeyValue } from '../bus/key-value.js';
import { Refused } from '../errors.js';
import { CLIENT_NAME_CHARS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';

/** What all members must agree on: founded by the first, a reason to refuse later ones. */

/** Grows when what a member says, or how it acts, no longer fits those of before. */
export const CHARTER_FORMAT_VERSION = 2;

const Charter = z.strictObject({
  formatVersion: z.int(),
  blockTokens: z.int(),
  segmentBlocks: z.int(),
  fingerprint: z.string().length(64),
  replicas: z.int(),
  /** For people: a model may have another name elsewhere, its fingerprint is what counts. */
  model: z.string().max(CLIENT_NAME_CHARS),
});
/** What all members of a fleet must agree on. */
export type Charter = z.infer<typeof Charter>;

/** All that is read of a charter of another version. */
const Version = z.looseObject({ formatVersion: z.int() });

/** Who is heard: members of this fleet, only processes without its cluster secret, or nobody. */
export type Alive = 'members' | 'strangers' | 'nobody';

export interface JoinOptions {
  /** Listens whether anybody of the fleet lives. Asked only where this process does not fit the charter. */
  readonly anybodyAlive: () => Promise<Alive>;
}

const KEY = 'charter';

/**
 * Makes this process a member under the fleet's charter. The first one founds it. Where the charter is another one and nobody lives under it
 * any more, it is replaced. Any number of processes may join at once: writes go by compare-and-set.
 * @throws Refused with each field that differs, both values and what to do; what `kv` throws
 */
export async function joinCharter(
  kv: KeyValue,
  mine: Charter,
  { anybodyAlive }: JoinOptions,
): Promise<'founded' | 'joined' | 'replaced'> {
  const value = encode(mine);
  let before: number | null = null;
  for (;;) {
    const found = await kv.get(KEY);
    before ??= found?.revision ?? 0;
    if (found === null) {
      if (await kv.create(KEY, value)) return 'founded';
      continue;
    }
    const difference = differenceOf(found.value, mine);
    if (difference === null) {
      // Somebody may have listened in vain, as this process was not to be heard yet. A revision that is younger, by whose hand soever, keeps
      // him from replacing the charter.
      if (found.revision !== before || (await kv.update(KEY, found.value, found.revision))) return 'joined';
      continue;
    }
    before = null;
    const alive = await anybodyAlive();
    // Members that live did not write what nobody can read: somebody without the secret did.
    if (alive === 'nobody' || (alive === 'members' && !isCharter(found.value))) {
      if (await kv.update(KEY, value, found.revision)) return 'replaced';
      continue;
    }
    // The members may live under a charter that has since replaced this one.
    const now = await kv.get(KEY);
    if (now && differenceOf(now.value, mine) !== null) throw new Refused(difference);
  }
}

function isCharter(bytes: Uint8Array): boolean {
  return readMessage(Version, bytes) !== null;
}

const REMEDIES = {
  formatVersion: 'run the same version of shoal everywhere',
  blockTokens: 'run the same version of shoal everywhere',
  segmentBlocks: 'run the same version of shoal everywhere',
  fingerprint: 'give it the model of the fleet (--model)',
  replicas: 'give it the number of copies of the fleet (--replicas)',
} as const;
type Field = keyof typeof REMEDIES;

/** Why this process does not fit a charter as it was read, in words; null if it does. */
function differenceOf(bytes: Uint8Array, mine: Charter): string | null {
  const version = readMessage(Version, bytes)?.formatVersion;
  if (version !== undefined && version !== mine.formatVersion) {
    return refusal(['formatVersion'], { formatVersion: version }, mine, '');
  }
  const theirs = readMessage(Charter, bytes);
  if (theirs === null) {
    return `cannot read the charter of the fleet on this NATS: it was written with another cluster secret or another release; give this process the secret (SHOAL_SECRET) and the release of the fleet, or ${WAY_OUT}`;
  }
  const fields = (Object.keys(REMEDIES) as Field[]).filter((field) => theirs[field] !== mine[field]);
  const models = `; the model is ${theirs.model} there, ${mine.model} here`;
  return fields.length === 0 ? null : refusal(fields, theirs, mine, models);
}

const WAY_OUT =
  'give it a fleet of its own (--namespace), or stop that whole fleet first, which lets its charter be replaced';

function refusal(fields: readonly Field[], theirs: Partial<Charter>, mine: Charter, models: string): string {
  const differences = fields.map((field) => `${field} is ${theirs[field]} there, ${mine[field]} here`);
  const remedies = new Set(fields.map((field) => REMEDIES[field]));
  return `cannot join the fleet on this NATS: ${differences.join('; ')}${models}; either ${[...remedies].join(' and ')}, or ${WAY_OUT}`;
}
