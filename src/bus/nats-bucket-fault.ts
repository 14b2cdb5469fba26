import { type BucketInfo, usedPart } from './nats-bucket-sweep.js';
import type { BucketLimits } from './transport.js';

/** Tells by what the server says of a bucket whether it takes values. */

/** A bucket of which more is used counts as full: the next values will not fit. */
const FULL = 0.98;

/** Values that add to a bucket are refused beyond: the rest is for values that replace others, and for processes that add at the same moment. */
const CROWDED = 7 / 8;

/** What the server says of the stream of a bucket. Settings that a server does not know are absent. */
export interface BucketSettings extends BucketInfo {
  readonly config: BucketInfo['config'] & {
    readonly subjects?: readonly string[];
    readonly discard?: string;
    readonly max_msg_size?: number;
    readonly max_age?: number;
    readonly sealed?: boolean;
    readonly no_ack?: boolean;
  };
}

/** Why a bucket takes no values, or not all, or loses some; null if it keeps what it gets. `limits`: those that it was created with. */
export function bucketFault(bucket: string, info: BucketSettings, limits: BucketLimits): string | null {
  const { config } = info;
  const { max_msg_size: valueBytes = -1, max_age: ageNs = 0, subjects = [], discard = 'new' } = config;
  const isLess = (limit: number, wanted: number) => limit > 0 && limit < wanted;
  const changes = [
    subjects.join() !== subjectsOf(bucket).join() && `it stores ${subjects.join(' and ') || 'nothing'}`,
    config.sealed === true && 'it is sealed',
    config.no_ack === true && 'it confirms no writes',
    valueBytes >= 0 && `its values may have ${valueBytes} bytes`,
    ageNs > 0 && 'its values expire',
    discard !== 'new' && 'new values drop old ones',
    isLess(config.max_bytes, limits.maxBytes) && `it may have ${config.max_bytes} bytes of ${limits.maxBytes}`,
    isLess(config.max_msgs, limits.maxValues) && `it may have ${config.max_msgs} values of ${limits.maxValues}`,
  ].filter((change) => change !== false);
  if (changes.length > 0) return changedSettings(bucket, changes.join(', '));
  return usedPart(info) >= FULL ? fullBucket(bucket) : null;
}

/** Whether a bucket stays well below its limits with values that are about to be written. */
export function isRoomy(
  { config, state }: BucketInfo,
  unwritten: { readonly bytes: number; readonly messages: number },
): boolean {
  const bytes = state.bytes + unwritten.bytes;
  const messages = state.messages + unwritten.messages;
  return usedPart({ config, state: { ...state, bytes, messages } }) <= CROWDED;
}

/** The subjects of a bucket's values. */
export function subjectsOf(bucket: string): string[] {
  return [`$KV.${bucket}.>`];
}

export function changedSettings(bucket: string, reason: string): string {
  return `the bucket ${bucket} has other settings than shoal gave it (${reason}): ${deletion(bucket)}`;
}

/** Another stream has taken the subjects of a bucket, which therefore cannot be created. */
export function takenSubjects(bucket: string, reason: string): string {
  return `another stream stores the values of the bucket ${bucket} (${reason}): find it with the nats tool (nats stream ls --subject '${subjectsOf(bucket)[0]}') and delete it, and the fleet creates the bucket; change the passwords of NATS if others know them`;
}

export function fullBucket(bucket: string, reason?: string): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  return `the bucket ${bucket} is full${why}: ${REMOVAL}; a coordinator, if one runs, erases values that no member of the fleet has sealed, some thousands in five seconds; else ${deletion(bucket)}`;
}

/** A bucket takes no more values, so that none of those that it has is lost. */
export function crowdedBucket(bucket: string): string {
  return `the bucket ${bucket} is nearly full, and takes no more values: ${REMOVAL}`;
}

const REMOVAL = 'end actors with $kill(), have them keep less in their arguments and checkpoints, or remove pins';

function deletion(bucket: string): string {
  return `delete it with the nats tool (nats kv del ${bucket}), and the fleet creates it again; change the passwords of NATS if others know them`;
}
