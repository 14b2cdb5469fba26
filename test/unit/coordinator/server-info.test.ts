import { expect, it } from 'vitest';
import { tokenizerInfo } from '../../../src/model/tokenizer-info.js';
import { CONTEXT_TOKENS, MODEL, testServer } from './support/test-server.js';

it('the server says how it serves the model', async () => {
  const { url } = await testServer();
  expect(await (await fetch(`${url}/server_info`)).json()).toEqual({
    version: '1.2.3',
    served_model_names: ['recall', 'shoal/recall'],
    max_model_len: CONTEXT_TOKENS,
    vocab_size: MODEL.tokenizer.vocabSize,
    block_size: 64,
    tool_call_parser: null,
    reasoning_parser: null,
    limits: { prompts: 2_048, choices: 2_048, n: 128 },
  });
  for (const method of ['GET', 'POST']) {
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${url}/ping`, { method, headers })).status).toBe(200);
  }
});

it('the tokenizer’s configuration has special tokens as texts, and the template that is in use', async () => {
  const { url } = await testServer();
  const info = (await (await fetch(`${url}/tokenizer_info`)).json()) as Record<string, unknown>;
  expect(info.chat_template).toEqual(expect.stringContaining('message'));
  const tokenizerConfig = {
    bos_token: { __type: 'AddedToken', content: '<s>', lstrip: false },
    eos_token: '</s>',
    pad_token: null,
    added_tokens_decoder: { '1': { content: '<s>' } },
    chat_template: [{ name: 'default', template: 'x' }],
  };
  expect(tokenizerInfo({ tokenizerConfig, chatTemplate: 'y', toolTemplate: null })).toEqual({
    ...{ bos_token: '<s>', eos_token: '</s>', pad_token: null },
    added_tokens_decoder: { '1': { content: '<s>' } },
    chat_template: 'y',
  });
  expect(tokenizerInfo({ tokenizerConfig, chatTemplate: 'y', toolTemplate: 'z' }).chat_template).toEqual([
    { name: 'default', template: 'y' },
    { name: 'tool_use', template: 'z' },
  ]);
  expect(tokenizerInfo({ tokenizerConfig, chatTemplate: null, toolTemplate: null })).not.toHaveProperty(
    'chat_template',
  );
});
