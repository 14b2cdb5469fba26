import type { ObjectValue } from '../../src/objects/object-value.js';
import type { ValueStaging } from '../../src/objects/value-staging.js';
import { tooLarge } from './body.js';
import type { Upload } from './route.js';

/**
 * Takes in a body of at most `mostBytes`, in memory that counts for `space`; null: for nobody. The caller has a reference to the value.
 * @throws ApiError 413 for a longer body, Overloaded if there is no room, and the errors of the connection
 */
export async function receive(
  { bytes, chunks }: Upload,
  mostBytes: number,
  staging: ValueStaging,
  space: string | null,
): Promise<ObjectValue> {
  const writer = staging.writer(bytes ?? mostBytes, space);
  try {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength; ) {
        const target = writer.target();
        if (target.byteLength === 0) throw tooLarge(mostBytes);
        const taken = chunk.copy(target, 0, at);
        writer.advance(taken);
        at += taken;
      }
    }
    return bytes === null ? writer.finishEarly() : writer.finish();
  } finally {
    writer.abort();
  }
}
