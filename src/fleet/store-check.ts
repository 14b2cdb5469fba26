import type { KeyValue } from '../bus/key-value.js';
import type { Transport } from '../bus/transport.js';
import type { PacedLog } from '../paced-log.js';

/** A key without a value, whose removal is a write that changes nothing. */
export const PROBE_KEY = 'store-probe';

/** Writes to a bucket without changing anything. Rejects with `Unavailable` if its store takes no writes. */
export async function probeBucket(open: () => Promise<KeyValue>): Promise<void> {
  await (await open()).delete(PROBE_KEY);
}

/**
 * Makes the check that notices when a failed store works again, even without writes in the meantime. Logs both changes. The check
 * rejects with `Unavailable` while the store does not work. `buckets`: how to open each bucket of this process.
 */
export function storeCheck(
  transport: Transport,
  buckets: ReadonlyMap<string, () => Promise<KeyValue>>,
  log: PacedLog,
): () => Promise<void> {
  let told = false;
  const fault = () => transport.storeFault?.() ?? null;
  return async () => {
    const before = fault();
    if (before !== null && !told)
      log.state('store', 'error', {}, `the store of the fleet does not work: ${before.why}`);
    told ||= before !== null;
    try {
      const open = before && buckets.get(before.bucket);
      if (open) await probeBucket(open);
    } finally {
      if (told && fault() === null) {
        told = false;
        log.state('store', 'error', {}, 'the store of the fleet works again');
      }
    }
  };
}
