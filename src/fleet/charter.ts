import { z } from 'zod';
import type { KeyValue } from '../bus/key-value.js';
import { Refused } from '../errors.js';
import { CLIENT_NAME_CHARS } from '../limits.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';

/** What all members must agree on: founded by the first, a reason to refuse later ones. */

/** Grows when what a member says, or how it acts, no longer fits those of before. */
export const CHARTER_FORMAT_VERSION = 1;

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

export interface JoinOptions {
  /** Listens whether anybody of the fleet lives. Asked only where this process does not fit the charter. */
  readonly anybodyAlive: () => Promise<boolean>;
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
    if (!(await anybodyAlive())) {
      if (await kv.update(KEY, value, found.revision)) return 'replaced';
      continue;
    }
    // They may live under a charter that took the place of this one meanwhile.
    const now = await kv.get(KEY);
    if (now && differenceOf(now.value, mine) !== null) throw new Refused(difference);
  }
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
  if (theirs === null) return `Nobody can read the fleet's charter on this NATS: ${WAY_OUT}.`;
  const fields = (Object.keys(REMEDIES) as Field[]).filter((field) => theirs[field] !== mine[field]);
  const models = `; the model is ${theirs.model} there, ${mine.model} here`;
  return fields.length === 0 ? null : refusal(fields, theirs, mine, models);
}

const WAY_OUT =
  'give it a fleet of its own (--namespace), or stop all of that fleet first: then its charter is replaced';

function refusal(fields: readonly Field[], theirs: Partial<Charter>, mine: Charter, models: string): string {
  const differences = fields.map((field) => `${field} is ${theirs[field]} there, ${mine[field]} here`);
  const remedies = new Set(fields.map((field) => REMEDIES[field]));
  return `This process does not fit the charter of the fleet that runs on this NATS: ${differences.join('; ')}${models}. Either ${[...remedies].join(' and ')}, or ${WAY_OUT}.`;
}
