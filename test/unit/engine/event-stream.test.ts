import { expect, test } from 'vitest';
import { settled } from '../../../src/clock.js';
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

test('a stream of bursts sends the first token at once, and the others in events of so many, or before the next other event', async () => {
  const stream = new EventStream(() => {}, 4);
  const sent: GenerateEvent[] = [];
  const reading = (async () => {
    for await (const event of stream) sent.push(event);
  })();
  for (let id = 0; id < 8; id++) {
    stream.push({ type: 'tokens', ids: [id], logprobs: [{ logprob: -id, top: [] }] });
    // Its reader takes each event before the next one comes.
    await settled();
    const events = [1, 1, 1, 1, 2, 2, 2, 2][id];
    expect(sent).toHaveLength(events!);
  }
  stream.push({ type: 'end', reason: 'length', token: null });
  stream.close();
  await reading;
  expect(sent.map((event) => (event.type === 'tokens' ? event.ids : event.type))).toEqual([
    [0],
    [1, 2, 3, 4],
    [5, 6, 7],
    'end',
  ]);
  expect(sent[1]).toMatchObject({ logprobs: [1, 2, 3, 4].map((id) => ({ logprob: -id })) });
});

test('a stream of bursts that fails gives the tokens that it held back first', async () => {
  const stream = new EventStream(() => {}, 4);
  for (const id of [1, 2, 3]) stream.push({ type: 'tokens', ids: [id] });
  stream.fail(new Error('broken'));
  const ids: number[] = [];
  const reading = (async () => {
    for await (const event of stream) if (event.type === 'tokens') ids.push(...event.ids);
  })();
  await expect(reading).rejects.toThrow('broken');
  expect(ids).toEqual([1, 2, 3]);
});
