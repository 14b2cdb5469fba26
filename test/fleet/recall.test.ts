import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Completion, pooled } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

/** 48 notes, 30 questions. An answer is right only if its K/V is right. */
const sheet = recallSheet(48, 7);
const questions = sheet.questions.slice(0, 30);
const prompts = questions.map((q) => recallPrompt(sheet, q.question));
const textOf = (answer: Completion) => answer.choices[0]!.text;

describe('a fleet of three workers, asked about one sheet of notes', () => {
  let fleet: Fleet;
  let reference: string[];

  beforeAll(async () => {
    const uncached = await Fleet.up(['--workers', '1', '--cache', 'off']);
    try {
      reference = (
        await pooled(
          6,
          prompts.map((prompt) => () => uncached.complete({ prompt })),
        )
      ).map(textOf);
    } finally {
      await uncached.stop();
    }
    fleet = await Fleet.up(['--workers', '3']);
  });

  afterAll(async () => {
    await fleet?.stop();
  });

  it('answers every question right without a cache, as a reference', () => {
    expect(reference.map((text) => text.trim())).toEqual(questions.map((q) => q.answer));
  });

  it('gives the same answers at concurrency 6, and computes the sheet about once', async () => {
    const answers = await pooled(
      6,
      prompts.map((prompt) => () => fleet.complete({ prompt })),
    );
    expect(answers.map(textOf)).toEqual(reference);
    const sheetTokens = await fleet.countTokens(sheet.notes);
    const again = await pooled(
      6,
      prompts.map((prompt) => () => fleet.complete({ prompt })),
    );
    expect(again.map(textOf)).toEqual(reference);
    for (const answer of [...answers.slice(6), ...again]) {
      expect(answer.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(0.85 * sheetTokens);
    }
  });

  it('fetches the sheet from peers on a worker that never saw it', async () => {
    const fresh = recallSheet(48, 8);
    const prompt = recallPrompt(fresh, fresh.questions[0]!.question);
    const first = await fleet.complete({ prompt });
    const stranger = fleet.ready.workers.map(({ id }) => id).find((id) => id !== first.shoal.worker)!;
    const second = await fleet.complete({ prompt }, { 'x-shoal-worker': stranger });
    expect(second.shoal.worker).toBe(stranger);
    expect(textOf(second)).toBe(textOf(first));
    expect(textOf(second).trim()).toBe(fresh.questions[0]!.answer);
    expect(second.shoal.cached.remote).toBeGreaterThan(0);
  });

  it('gives the same answers on every worker, from its own blocks or from blocks of peers', async () => {
    for (const { id } of fleet.ready.workers) {
      for (const index of [0, 7, 29]) {
        const answer = await fleet.complete({ prompt: prompts[index]! }, { 'x-shoal-worker': id });
        expect(textOf(answer)).toBe(reference[index]);
      }
    }
  });

  it('gives sampled answers that do not depend on the cache', async () => {
    const body = { prompt: prompts[3]!, temperature: 1, top_p: 0.9, seed: 11, ignore_eos: true, max_tokens: 40 };
    const hit = await fleet.complete(body);
    const miss = await fleet.complete({ ...body, cache_salt: 'alone' });
    expect(hit.shoal.cached.local + hit.shoal.cached.remote).toBeGreaterThan(0);
    expect(miss.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(textOf(hit)).toBe(textOf(miss));
  });
});
