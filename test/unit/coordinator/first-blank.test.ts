import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FleetEvent } from '../../../coordinator/fleet.js';
import { Choice, type Delta } from '../../../coordinator/openai/choice.js';
import { COMPLETION_SHAPE } from '../../../coordinator/openai/completion-shape.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { GREEDY, type TokenLogprobs } from '../../../src/protocol/generate.js';
import { scratchFolder } from '../model/folders.js';
import { started } from './support/scripted-fleet.js';

/** A vocabulary as Llama 2 has it: a blank before each word, and one before each text, which the decoder takes away. */
const WORDS = ['▁The', '▁capital', '▁is', '▁Paris'];
const VOCAB = ['<unk>', '<s>', '</s>', '▁', ...'TheisPrcaptl', 'é'];
const vocab = Object.fromEntries([...new Set([...VOCAB, ...WORDS.flatMap(prefixes)])].map((token, id) => [token, id]));
const merges = WORDS.flatMap((word) =>
  prefixes(word)
    .slice(1)
    .map((to) => [to.slice(0, -1), to.slice(-1)]),
);
const FOLDER = {
  added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true, normalized: false })),
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: {},
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: { type: 'BPE', byte_fallback: true, unk_token: '<unk>', fuse_unk: true, vocab, merges },
};

function prefixes(word: string): string[] {
  return [...word].map((_, i) => word.slice(0, i + 1));
}

let tokenizer: Tokenizer;

beforeAll(async () => {
  const tokenizerPath = join(await scratchFolder(), 'tokenizer.json');
  await writeFile(tokenizerPath, JSON.stringify(FOLDER));
  tokenizer = await Tokenizer.load({ tokenizerPath, tokenizerConfig: {}, config: { vocabSize: 100 } });
});

/** The answer "▁Paris▁Paris" to a prompt, as an endpoint shows it. */
function answer(tokens: readonly number[], echo: string | null) {
  const show = { specialTokens: false, stop: false, tokenIds: false, tokensAsIds: false, promptLogprobs: false };
  const plan = {
    index: 0,
    promptIndex: 0,
    stops: [],
    echo,
    show,
    message: null,
    request: requestOf(tokens, echo !== null),
  };
  const choice = new Choice(plan, tokenizer);
  const paris = vocab['▁Paris']!;
  const logprobs = tokens.map((id, i): TokenLogprobs | null => (i === 0 ? null : { logprob: -i, top: [[id, -i]] }));
  const events: FleetEvent[] = [
    started(),
    ...(echo === null ? [] : [{ type: 'prompt' as const, logprobs }]),
    { type: 'tokens', ids: [paris, paris], logprobs: [paris, paris].map((id) => ({ logprob: -1, top: [[id, -1]] })) },
    { type: 'end', reason: 'length', token: null },
  ];
  const deltas = events.map((event) => choice.take(event)).filter((delta): delta is Delta => delta !== null);
  const [{ reports }, ...rest] = deltas as [Delta, ...Delta[]];
  for (const delta of rest) reports.append(delta.reports);
  const whole = {
    index: 0,
    text: deltas.map(({ text }) => text).join(''),
    reasoning: '',
    calls: [],
    reports,
    finish: 'length' as const,
    stopReason: null,
    ids: [],
  };
  return JSON.parse(
    JSON.stringify(
      COMPLETION_SHAPE.whole(whole, { logprobs: true, tokenIds: false, tokensAsIds: false, promptLogprobs: false }),
    ),
  ) as {
    text: string;
    logprobs: { tokens: string[]; text_offset: number[]; top_logprobs: (Record<string, number> | null)[] };
  };
}

function requestOf(tokens: readonly number[], promptLogprobs: boolean) {
  const stopping = { maxTokens: 9, minTokens: 0, tokenIds: [], ignoreEos: false };
  const sampling = { ...GREEDY, logprobs: 1, promptLogprobs };
  return { requestId: 'r', tokens: Uint32Array.from(tokens), salt: null, worker: null, stopping, sampling };
}

describe('an answer of a model whose decoder drops the blank before a text', () => {
  const prompt = 'The capital is';

  it('continues its prompt, blank included', () => {
    const { text, logprobs } = answer(tokenizer.encode(prompt), null);
    expect(text).toBe(' Paris Paris');
    expect(logprobs.tokens).toEqual([' Paris', ' Paris']);
    expect(logprobs.text_offset).toEqual([0, 6]);
  });

  it('begins without a blank where no text is before it', () => {
    expect(answer([1], null).text).toBe('Paris Paris');
  });

  it('has the same text in its echo, its tokens and their offsets', () => {
    const { text, logprobs } = answer(tokenizer.encode(prompt), prompt);
    expect(text).toBe('The capital is Paris Paris');
    expect(logprobs.tokens).toEqual(['<s>', 'The', ' capital', ' is', ' Paris', ' Paris']);
    expect(logprobs.text_offset).toEqual([0, 0, 3, 11, 14, 20]);
    expect(logprobs.top_logprobs.slice(1, 3)).toEqual([{ The: -1 }, { ' capital': -2 }]);
    const bare = answer(tokenizer.encode(prompt, { addSpecialTokens: false }), prompt);
    expect(bare.logprobs.tokens.join('')).toBe(bare.text);
    expect(bare.logprobs.text_offset).toEqual([0, 3, 11, 14, 20]);
  });

  it('has the same text in its echo of token ids', () => {
    const ids = tokenizer.encode(prompt);
    const { text, logprobs } = answer(ids, tokenizer.decode(ids));
    expect(text).toBe('<s> The capital is Paris Paris');
    expect(logprobs.tokens.join('')).toBe(text);
    expect(logprobs.text_offset).toEqual([0, 3, 7, 15, 18, 24]);
  });
});
