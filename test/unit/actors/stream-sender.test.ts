import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { STREAM_BURST_BYTES, STREAM_WINDOW_BYTES, StreamSender } from '../../../src/actors/stream-sender.js';

it('A stream of large items lets other work of the process run before its window is full', async () => {
  const itemBytes = STREAM_BURST_BYTES / 4;
  let packed = 0;
  const target = {
    pack: (content: unknown) => {
      packed += itemBytes;
      return { content, bytes: itemBytes };
    },
    items: () => {},
    end: () => {},
    failed: (error: unknown) => expect(error).toBeUndefined(),
  };
  const sender = new StreamSender(endless(), target);
  sender.start();
  await turn();
  expect(packed).toBeLessThanOrEqual(STREAM_BURST_BYTES);
  while (packed < STREAM_WINDOW_BYTES) await turn();
  expect(packed).toBe(STREAM_WINDOW_BYTES);
  sender.close();
});

async function* endless() {
  for (;;) yield 0;
}
