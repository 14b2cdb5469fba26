import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiptSentence } from '../../../console/cache/receipt-words.js';
import {
  expectedSources,
  explanationSentence,
  holdersText,
  tailSentence,
} from '../../../console/explain/block-words.js';
import { partingSentence, sharedTokens } from '../../../console/explain/parting.js';
import { addressOf, readAddress } from '../../../console/parts/address.js';
import { arrange, nextOrder } from '../../../console/parts/arrange.js';
import type { CacheExplanation, CachePurge, ExplainedBlock } from '../../../src/console/cache-answers.js';

describe('the rows of a table', () => {
  interface Row {
    readonly name: string;
    readonly size: number | null;
  }
  const rows: readonly Row[] = [
    { name: 'worker-10', size: 5 },
    { name: 'worker-2', size: null },
    { name: 'worker-1', size: 7 },
  ];
  const columns = [
    { key: 'name', value: ({ name }: Row) => name },
    { key: 'size', value: ({ size }: Row) => size },
  ];
  const names = (filter: string, key: string | null, descending = false) =>
    arrange(rows, columns, { filter, order: key === null ? null : { key, descending } }).map(({ name }) => name);

  it('are sorted by numbers in texts too, and those without a value come last', () => {
    expect(names('', 'name')).toEqual(['worker-1', 'worker-2', 'worker-10']);
    expect(names('', 'name', true)).toEqual(['worker-10', 'worker-2', 'worker-1']);
    expect(names('', 'size')).toEqual(['worker-10', 'worker-1', 'worker-2']);
    expect(names('', 'size', true)).toEqual(['worker-1', 'worker-10', 'worker-2']);
    expect(names('', null)).toEqual(['worker-10', 'worker-2', 'worker-1']);
  });

  it('have each word of the filter in some cell', () => {
    expect([names('WORKER-1', null), names('7 worker', null), names('7 5', null)]).toEqual([
      ['worker-10', 'worker-1'],
      ['worker-1'],
      [],
    ]);
  });

  it('turn round at the second click', () => {
    const first = nextOrder(null, 'size', true);
    expect([first, nextOrder(first, 'size', true), nextOrder(first, 'name', false)]).toEqual([
      { key: 'size', descending: true },
      { key: 'size', descending: false },
      { key: 'name', descending: false },
    ]);
  });
});

describe('the address of a page', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string()), (params) => {
        const { page, params: read } = readAddress(addressOf('requests', params));
        expect([page, Object.fromEntries(read)]).toEqual(['requests', { ...params }]);
      }),
    );
    expect(readAddress('').page).toBe('');
  });
});

describe('two prompts', () => {
  const prompt = (...runs: [token: number, count: number][]) =>
    runs.flatMap(([token, count]) => Array<number>(count).fill(token));

  it('part where their first token differs', () => {
    const tokens = fc.array(fc.nat(2), { maxLength: 20 });
    fc.assert(
      fc.property(tokens, tokens, (a, b) => {
        const shared = sharedTokens(a, b);
        expect(a.slice(0, shared)).toEqual(b.slice(0, shared));
        if (shared < a.length && shared < b.length) expect(a[shared]).not.toBe(b[shared]);
        else expect(shared).toBe(Math.min(a.length, b.length));
      }),
    );
  });

  it('are compared in words', () => {
    const said = (a: number[], b: number[]) => partingSentence(a, b);
    expect(said(prompt([1, 70]), prompt([1, 70]))).toBe('The prompts are the same: 70 tokens.');
    expect(said([1], [2])).toBe('The prompts part at their first token: they share no block.');
    expect(said(prompt([1, 9], [2, 1]), prompt([1, 9], [3, 1]))).toBe(
      'They begin with the same 9 tokens, and part at token 10. That is less than a block of 64 tokens: they share no block.',
    );
    expect(said(prompt([1, 128], [2, 1]), prompt([1, 128], [3, 1]))).toBe(
      'They begin with the same 128 tokens, and part at token 129. They share 2 blocks.',
    );
    expect(said(prompt([1, 70], [2, 9]), prompt([1, 70]))).toBe(
      'One begins with all 70 tokens of the other; the first prompt continues. They share 1 block. The last 6 tokens that they share stand in block 2, which differs: a block is found only if all of it is the same, and all before it.',
    );
  });
});

describe('an explanation', () => {
  const block = (index: number, holders: string[]): ExplainedBlock => ({
    ...{ index, key: `k${index}`, homes: ['w1'], holders, tiers: { w2: 'host' } },
    ...(holders.length > 0
      ? ({ state: 'hit', reason: null } as const)
      : ({ state: 'miss', reason: 'no worker holds it' } as const)),
  });
  const explained: CacheExplanation = {
    tokens: 200,
    blocks: [block(0, ['w1', 'w2']), block(1, ['w2']), block(2, [])],
    would_run_on: 'w1',
  };

  it('adds up to the tokens of the prompt', () => {
    expect(expectedSources(explained)).toEqual({ local: 64, remote: 64, computed: 72 });
  });

  it('says what would happen', () => {
    expect(explanationSentence(explained)).toBe(
      'The prompt would go to w1. It would find 64 tokens in its own memory, could fetch 64 tokens from other workers if that is faster than computing them, and compute 72 tokens.',
    );
    expect(explanationSentence({ ...explained, would_run_on: null })).toBe('No worker could take this prompt now.');
    expect(explanationSentence({ ...explained, tokens: 3, blocks: [] })).toMatch(/^3 tokens: fewer than a block of 64/);
    expect([tailSentence(explained), tailSentence({ ...explained, tokens: 192 })]).toEqual([
      'The last 8 tokens fill no block: they are always computed.',
      null,
    ]);
    expect(holdersText(explained.blocks[0]!)).toBe('w1, w2 (host)');
  });
});

describe('the receipt of a purge', () => {
  const counts = { device: 3, host: 1, disk: 0, blocks: 2, replicas: 1, values: 0, responses: 0 };
  const receipt = (states: readonly CachePurge['workers'][number]['state'][]): CachePurge => ({
    ...{ id: 'p', what: 'prompt', created_at: 0, pins: 1, answers: 0, dropped: counts, exact: true },
    state: states.includes('unreachable') ? 'incomplete' : 'complete',
    workers: states.map((state, i) => ({ id: `w${i}`, state, ...counts })),
  });

  it('says what was dropped, and who has not answered', () => {
    expect(receiptSentence(receipt(['done', 'done']))).toBe(
      'Complete: 2 workers dropped 4 copies of 2 blocks. It ended 1 pin.',
    );
    expect(receiptSentence(receipt(['done', 'unreachable']))).toBe(
      'Not complete: 1 of 2 workers dropped 4 copies of 2 blocks; the others do it when they answer. It ended 1 pin.',
    );
    expect(receiptSentence({ ...receipt(['done']), exact: false })).toContain('4 copies of about 2 blocks');
    const more = { ...receipt(['done']), answers: 2, dropped: { ...counts, values: 3, responses: 1 } };
    expect(receiptSentence(more)).toBe(
      'Complete: 1 worker dropped 4 copies of 2 blocks, and 4 of values and stored answers. It ended 1 pin. Coordinators forgot 2 answers for retries.',
    );
  });
});
