import { blockBytes, type KvLayout } from '../src/core/kv-layout.js';
import { Refused } from '../src/errors.js';
import { FRAME_PAYLOAD_BYTES } from '../src/limits.js';

/** Throws `Refused` if the model's blocks do not fit the budget or a frame between peers. */
export function checkBudgets(layout: KvLayout, cacheBytes: number): void {
  const bytes = blockBytes(layout);
  if (bytes > FRAME_PAYLOAD_BYTES) {
    throw new Refused(`a block of this model has ${bytes} bytes, a frame between peers at most ${FRAME_PAYLOAD_BYTES}`);
  }
  if (cacheBytes < bytes) {
    throw new Refused(
      `--cache-bytes is ${cacheBytes}, less than one block of this model (${bytes}): give more, or --cache off`,
    );
  }
}
