import { z } from 'zod';
import { Semaphore } from '../../src/async/semaphore.js';
import type { Clock } from '../../src/clock.js';
import { saltDigest } from '../../src/core/salt.js';
import { Overloaded, Unavailable } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { RESPONSE_SALT } from '../../src/objects/object.js';
import { wholeValue } from '../../src/objects/object-body.js';
import { databaseSpace, type ObjectName, objectName, RESPONSES_DATABASE } from '../../src/objects/object-name.js';
import { ObjectValue } from '../../src/objects/object-value.js';
import type { Objects } from '../../src/objects/objects.js';
import { ReadFloors } from '../../src/objects/read-floors.js';
import { PacedLog } from '../../src/paced-log.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import type { Principal } from '../access/principal.js';
import { spaceOf } from '../objects/key-access.js';
import { CONVERSATION_ITEMS, ConversationItem } from '../openai/responses/conversation-item.js';

/**
 * Stores the answers of the Responses API as objects of the fleet: any coordinator finds them, and they outlive the coordinator that wrote them. They take
 * their tenant's share of the workers' memory for objects, and expire.
 */

/** Limit on the bytes of a stored answer with its conversation: it is read whole. @internal exported for tests. */
export const STORED_RESPONSE_BYTES = 2 ** 20;
/** Answers that a coordinator reads at a time. */
const READS_AT_ONCE = 8;

const StoredResponse = z.strictObject({
  /** The answer as JSON. */
  response: z.string(),
  /** Its conversation: all input, then its output. */
  items: z.array(ConversationItem).max(CONVERSATION_ITEMS),
});
export type StoredResponse = z.infer<typeof StoredResponse>;

export interface ResponseStoreOptions {
  readonly objects: Pick<Objects, 'get' | 'put' | 'remove'>;
  /** Time for which an answer is stored. */
  readonly ttlMs: number;
  /** Limit on the bytes of an object. */
  readonly objectBytes: number;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly log: Log;
}

/** Whose an answer is, and the salt of its prompt, by which a purge finds it. */
export interface ResponseOwner {
  readonly principal: Principal | null;
  readonly salt: string;
}

export class ResponseStore {
  private readonly reads = new Semaphore(READS_AT_ONCE);
  private readonly log: PacedLog;

  constructor(private readonly options: ResponseStoreOptions) {
    this.log = new PacedLog(options.log, options.clock);
  }

  /** Stores an answer. False if it is too large, or if no worker takes it. */
  async save(
    { principal, salt }: ResponseOwner,
    id: string,
    stored: StoredResponse,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { objects, objectBytes, ttlMs, wallMs } = this.options;
    const bytes = encode(stored);
    if (bytes.byteLength > Math.min(objectBytes, STORED_RESPONSE_BYTES)) return false;
    if (stored.items.length > CONVERSATION_ITEMS) return false;
    const value = ObjectValue.of(bytes);
    const expiry = { kind: 'at' as const, atMs: Math.floor(wallMs() + ttlMs) };
    const fields = { [RESPONSE_SALT]: saltDigest(salt) };
    const options = { contentType: null, fields, expiry, condition: { kind: 'absent' as const } };
    try {
      return (await objects.put(nameOf(principal, id), value, options, signal)).type === 'written';
    } catch (error) {
      if (!(error instanceof Overloaded || error instanceof Unavailable)) throw error;
      this.log.warn({ reason: error.message }, 'cannot store an answer');
      return false;
    } finally {
      value.release();
    }
  }

  /** Null if this caller has no such answer. Rejects with `Unavailable` if no home can be reached. */
  async load(principal: Principal | null, id: string, signal: AbortSignal): Promise<StoredResponse | null> {
    if (!ID.test(id)) return null;
    const bytes = await this.read(nameOf(principal, id), signal);
    return bytes && readMessage(StoredResponse, bytes);
  }

  /** False if this caller has no such answer. */
  async remove(principal: Principal | null, id: string, signal: AbortSignal): Promise<boolean> {
    if (!ID.test(id)) return false;
    const removed = await this.options.objects.remove(nameOf(principal, id), { kind: 'present' }, signal);
    return removed.type === 'written';
  }

  private async read(name: ObjectName, signal: AbortSignal): Promise<Buffer | null> {
    const { objects, clock } = this.options;
    await this.reads.acquire();
    try {
      const read = await objects.get(name, { floors: new ReadFloors(clock) }, signal);
      if (read.type === 'absent') return null;
      const value = await wholeValue(read);
      try {
        return value.copy();
      } finally {
        value.release();
      }
    } finally {
      this.reads.release();
    }
  }
}

const ID = /^resp_[\w-]{1,200}$/;

/** Among the objects of the caller's scope, in a database that no client of the Redis protocol can select. */
function nameOf(principal: Principal | null, id: string): ObjectName {
  return objectName(databaseSpace(spaceOf(principal), RESPONSES_DATABASE), Buffer.from(id));
}
