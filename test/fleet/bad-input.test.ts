import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(8, 41);
const good = { model: 'recall', prompt: 'Notes:', max_tokens: 2 };

interface Case {
  readonly name: string;
  readonly body: string | Uint8Array;
  readonly status: number;
  /** The field that the error names. */
  readonly param?: string;
}

const wrong = (name: string, fields: Record<string, unknown>, param: string): Case => ({
  name,
  body: JSON.stringify({ ...good, ...fields }),
  status: 400,
  param,
});

const CASES: readonly Case[] = [
  { name: 'malformed JSON', body: '{"model": "recall", "prompt"', status: 400 },
  {
    name: 'invalid UTF-8',
    body: Buffer.concat([Buffer.from('{"prompt":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    status: 400,
  },
  { name: '__proto__ keys', body: '{"model":"recall","prompt":"x","__proto__":{"max_tokens":1}}', status: 400 },
  { name: 'a body of 10 MB', body: JSON.stringify({ ...good, prompt: 'a'.repeat(10_000_000) }), status: 413 },
  { name: 'an array as body', body: '[]', status: 400 },
  wrong('a number as prompt', { prompt: 5 }, 'prompt'),
  wrong('an empty prompt', { prompt: '' }, 'prompt'),
  wrong('no prompts', { prompt: [] }, 'prompt'),
  wrong('token ids out of range', { prompt: [1, 2, 990] }, 'prompt'),
  wrong('negative token ids', { prompt: [-1] }, 'prompt'),
  wrong('negative max_tokens', { max_tokens: -1 }, 'max_tokens'),
  wrong('huge max_tokens', { max_tokens: 1e12 }, 'max_tokens'),
  wrong('negative n', { n: -1 }, 'n'),
  wrong('huge n', { n: 1e9 }, 'n'),
  wrong('negative temperature', { temperature: -0.1 }, 'temperature'),
  wrong('huge temperature', { temperature: 1e9 }, 'temperature'),
  wrong('text as temperature', { temperature: 'hot' }, 'temperature'),
  wrong('5,000 stop strings', { stop: Array.from({ length: 5_000 }, (_, i) => `s${i}`) }, 'stop'),
  wrong('a stop token out of range', { stop_token_ids: [99_999] }, 'stop_token_ids'),
  wrong('a bias for no token', { logit_bias: { 99999: 1 } }, 'logit_bias'),
  { name: 'an unknown model', body: JSON.stringify({ ...good, model: 'gpt-9' }), status: 404, param: 'model' },
];

describe('bad input to a real fleet', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.up(['--workers', '1']);
  });

  afterAll(async () => {
    await fleet?.stop();
  });

  it.each(CASES)('$name is refused with a status and the field', async ({ body, status, param }) => {
    const response = await fetch(`${fleet.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body as string,
    });
    const { error } = (await response.json()) as { error: { message: string; param: string | null } };
    expect(response.status).toBe(status);
    expect(error.message).not.toBe('');
    if (param) expect(error.param).toMatch(new RegExp(`^${param}`));
  });

  it('does not affect other requests', async () => {
    const { question, answer } = sheet.questions[0]!;
    const right = fleet.complete({ prompt: recallPrompt(sheet, question) });
    await Promise.all(
      CASES.map(({ body }) => fetch(`${fleet.url}/v1/completions`, { method: 'POST', body: body as string })),
    );
    expect((await right).choices[0]!.text.trim()).toBe(answer);
    expect((await fleet.workers())[0]!.pid).toBe(fleet.ready.workers[0]!.pid);
  });
});
