import { describe, expect, it } from 'vitest';
import type { ServedCompletion } from '../../../../bench/serve/completion.js';
import { type Served, serveLoad } from '../../../../bench/serve/load.js';
import { figuresOf, isAnswered, latenciesOf } from '../../../../bench/serve/summary.js';
import { vllmResult } from '../../../../bench/serve/vllm-result.js';
import type { WorkloadRequest } from '../../../../bench/serve/workload.js';
import { Deferred } from '../../../../src/async/deferred.js';

const DONE: ServedCompletion = {
  chunksMs: [0],
  endMs: 0,
  promptTokens: 1,
  answerTokens: 1,
  cachedTokens: 0,
  remoteTokens: null,
};

function request(token: number, session: number | null = null): WorkloadRequest {
  return { prompt: [token], maxTokens: 1, session };
}

describe('a load', () => {
  it('in an open loop sends each request at its time, and counts from there even if the client was late', async () => {
    const held = new Deferred<ServedCompletion>();
    const asked: number[] = [];
    const load = serveLoad(
      [request(1), request(2), request(3)],
      { kind: 'open', timesMs: [0, 10, 20] },
      async ({ prompt }) => {
        asked.push(prompt[0]!);
        // The first answer comes only after all were asked.
        if (asked.length === 3) held.resolve(DONE);
        return prompt[0] === 1 ? held.promise : DONE;
      },
    );
    const [first, second, third] = await load;
    expect(asked).toEqual([1, 2, 3]);
    expect(second!.dueMs - first!.dueMs).toBeCloseTo(10);
    expect(third!.dueMs - second!.dueMs).toBeCloseTo(10);
  });

  it('lets the requests of a session follow each other, and no other wait', async () => {
    const first = new Deferred<ServedCompletion>();
    const asked: number[] = [];
    const load = serveLoad(
      [request(1, 0), request(2, 0), request(3, 1)],
      { kind: 'open', timesMs: [0, 0, 0] },
      async ({ prompt }) => {
        asked.push(prompt[0]!);
        if (prompt[0] === 3) first.resolve(DONE);
        return prompt[0] === 1 ? first.promise : DONE;
      },
    );
    const [, second] = await load;
    expect(asked).toEqual([1, 3, 2]);
    expect(isAnswered(second!)).toBe(true);
  });

  it('in a closed loop has as many requests under way as clients', async () => {
    let [running, most] = [0, 0];
    const requests = Array.from({ length: 20 }, (_, i) => request(i));
    const load = await serveLoad(requests, { kind: 'closed', clients: 3 }, async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return DONE;
    });
    expect([load.length, most]).toEqual([20, 3]);
  });

  it('records the error of a request that failed', async () => {
    const [one] = await serveLoad([request(1)], { kind: 'closed', clients: 1 }, () => Promise.reject(new Error('503')));
    expect(one!.result).toEqual(new Error('503'));
  });
});

describe('the figures of a load', () => {
  const answer = (dueMs: number, chunksMs: number[], cachedTokens: number): Served => ({
    request: { prompt: [1, 2, 3, 4], maxTokens: 3, session: null },
    dueMs,
    result: { chunksMs, endMs: chunksMs.at(-1)!, promptTokens: 4, answerTokens: 3, cachedTokens, remoteTokens: 1 },
  });
  const failed: Served = { request: request(9), dueMs: 100, result: new Error('no worker is serving') };
  const load = [answer(0, [100, 200, 300], 2), answer(500, [1_500, 1_600, 2_000], 4), failed];
  const objective = { ttftMs: 500, tpotMs: 150 };

  it('count latencies from when a request was due', () => {
    expect(latenciesOf(load[1] as Parameters<typeof latenciesOf>[0])).toEqual({
      ttftMs: 1_000,
      tpotMs: 250,
      itlMs: [100, 400],
      endToEndMs: 1_500,
    });
    expect(figuresOf(load, objective)).toMatchObject({
      seconds: 2,
      completed: 2,
      failed: 1,
      requestsPerSecond: 1,
      tokensPerSecond: 3,
      goodput: 0.5,
      cachedShare: 0.75,
      remoteShare: 0.25,
      ttftMs: { 50: 100, 99: 1_000 },
    });
    expect(() => figuresOf([failed], objective)).toThrow('no request was answered: no worker is serving');
  });

  it("have the form of vLLM's benchmark", () => {
    const date = new Date(0);
    expect(vllmResult(load, objective, { date, model: 'm', requestRate: Infinity, clients: 8 })).toMatchObject({
      date: '1970-01-01T00:00:00.000Z',
      model_id: 'm',
      request_rate: 'inf',
      max_concurrency: 8,
      completed: 2,
      duration: 2,
      total_input_tokens: 8,
      total_output_tokens: 6,
      mean_ttft_ms: 550,
      input_lens: [4, 4, 1],
      output_lens: [3, 3, 0],
      ttfts: [0.1, 1, 0],
      itls: [[0.1, 0.1], [0.1, 0.4], []],
      errors: ['', '', 'no worker is serving'],
    });
  });
});
