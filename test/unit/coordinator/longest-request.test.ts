import { expect, it } from 'vitest';
import { PROGRAM_EDGES } from '../../../src/core/constraint/program.js';
import {
  ALLOWED_TOKEN_IDS,
  BANNED_TOKENS,
  BUS_MESSAGE_BYTES,
  EVENT_TOKENS,
  LOGIT_BIAS_ENTRIES,
  LOGPROBS,
  PROMPT_TOKENS,
} from '../../../src/limits.js';
import {
  type GenerateEvent,
  type GenerateRequest,
  GREEDY,
  packTokens,
  SALT_CHARS,
} from '../../../src/protocol/generate.js';
import { encode } from '../../../src/wire/msgpack.js';
import { ask } from '../engine/support/rig.js';

it('a request with the longest prompt fits one message', () => {
  const tokens = new Uint32Array(PROMPT_TOKENS).fill(4_000_000_000);
  const request: GenerateRequest = {
    ...ask([1]),
    tokens: packTokens(tokens),
    salt: 'ü'.repeat(SALT_CHARS),
    sampling: {
      ...GREEDY,
      constraint: new Uint8Array(8 * PROGRAM_EDGES),
      allowed: packTokens(new Uint32Array(ALLOWED_TOKEN_IDS)),
      banned: Array.from({ length: BANNED_TOKENS }, () => [4_000_000_000]),
      logitBias: Array.from({ length: LOGIT_BIAS_ENTRIES }, (): [number, number] => [4_000_000_000, 1 / 3]),
    },
  };
  // The margin covers the other fields, such as stop token ids.
  expect(encode(request).byteLength + 4 * 1024).toBeLessThan(BUS_MESSAGE_BYTES);
});

it('an event with the maximum of log-probabilities fits one message', () => {
  const top = Array.from({ length: LOGPROBS }, (): [number, number] => [4_000_000_000, -1 / 3]);
  const logprobs = Array.from({ length: EVENT_TOKENS }, () => ({ logprob: -1 / 3, top }));
  const event: GenerateEvent = { type: 'tokens', ids: Array(EVENT_TOKENS).fill(4_000_000_000), logprobs };
  expect(2 * encode(event).byteLength).toBeLessThan(BUS_MESSAGE_BYTES);
});
