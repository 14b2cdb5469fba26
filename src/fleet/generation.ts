import { z } from 'zod';
import type { KeyValue } from '../bus/key-value.js';
import { subjectToken } from '../bus/subject.js';
import type { Transport } from '../bus/transport.js';
import { Unavailable } from '../errors.js';
import type { Log } from '../log.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import { generationBucket, openBucket } from './buckets.js';

/** Orders the processes of a worker's ID by a counter in the fleet's key-value store, without a clock. */

const Counter = z.strictObject({ generation: z.int().min(0) });

export interface GenerationOptions {
  readonly transport: Transport;
  readonly log: Log;
  readonly config: { readonly namespace: string; readonly id: string };
}

/**
 * Takes the next generation of a worker's ID. Without a bucket, or if its counter was lost, the generation may be lower than one that the fleet
 * has seen; the fleet then refuses it, and `src/core/own-rank` raises it.
 */
export async function takeGeneration({ transport, log, config }: GenerationOptions): Promise<number> {
  try {
    return await nextGeneration(await generations(transport, config.namespace), subjectToken(config.id));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    log.warn(
      { reason: error.message },
      'this process has no generation from the fleet; it takes one when members refuse it',
    );
    return 0;
  }
}

/** Increments the counter. Concurrent calls for one key get different numbers. @internal exported for tests. */
export async function nextGeneration(kv: KeyValue, key: string): Promise<number> {
  for (;;) {
    const found = await kv.get(key);
    // A counter that the fleet did not write is replaced.
    const generation = (found === null ? 0 : (readMessage(Counter, found.value)?.generation ?? 0)) + 1;
    const value = encode({ generation });
    if (found === null ? await kv.create(key, value) : await kv.update(key, value, found.revision)) return generation;
  }
}

/** Makes the check that restores the counter of a worker's ID, in case NATS loses it. `own`: the worker's current generation. */
export function generationCheck(
  { transport, config }: Omit<GenerationOptions, 'log'>,
  own: () => number,
): () => Promise<void> {
  let opened: KeyValue | null = null;
  return async () => {
    opened ??= await generations(transport, config.namespace);
    await raiseGeneration(opened, subjectToken(config.id), own());
  };
}

/** Raises a counter to at least this generation. */
async function raiseGeneration(kv: KeyValue, key: string, generation: number): Promise<void> {
  for (;;) {
    const found = await kv.get(key);
    const counted = found && readMessage(Counter, found.value);
    if (counted !== null && counted.generation >= generation) return;
    const value = encode({ generation });
    if (found === null ? await kv.create(key, value) : await kv.update(key, value, found.revision)) return;
  }
}

function generations(transport: Transport, namespace: string): Promise<KeyValue> {
  return openBucket(transport, generationBucket(namespace));
}
