import { expect, test } from 'vitest';
import { EventStream } from '../../../src/engine/event-stream.js';
import { EVENT_TOKENS } from '../../../src/limits.js';
import type { GenerateEvent } from '../../../src/protocol/generate.js';

test('unread tokens are merged into events of at most EVENT_TOKENS', async () => {
  const stream = new EventStream(() => {});
  const count = 2 * EVENT_TOKENS + 10;
  for (let id = 0; id < count; id++) {
    stream.push({ type: 'tokens', ids: [id], logprobs: [{ logprob: -id, top: [] }] });
  }
  stream.close();
  const events: GenerateEvent[] = [];
  for await (const event of stream) events.push(event);
  const tokens = events.filter((event) => event.type === 'tokens');
  expect(tokens.map(({ ids }) => ids.length)).toEqual([EVENT_TOKENS, EVENT_TOKENS, 10]);
  expect(tokens.flatMap(({ ids }) => ids)).toEqual(Array.from({ length: count }, (_, id) => id));
  expect(tokens.flatMap(({ logprobs }) => logprobs!.map(({ logprob }) => 0 - logprob))).toEqual(
    Array.from({ length: count }, (_, id) => id),
  );
});
