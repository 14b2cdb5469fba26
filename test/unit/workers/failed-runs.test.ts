import { beforeEach, describe, expect, it } from 'vitest';
import { InternalError, Overloaded, RunFailed, Unavailable } from '../../../src/errors.js';
import { ENGINE_FAILURES } from '../../../src/limits.js';
import { OrtError } from '../../../src/ort/ort-error.js';
import { FailedRuns } from '../../../workers/failed-runs.js';

const lost = () => new OrtError('running a graph', 'device lost', 1);

describe('requests whose runs fail', () => {
  let failed: unknown[];
  let beyond: string[];
  let runs: FailedRuns;

  beforeEach(() => {
    failed = [];
    beyond = [];
    runs = new FailedRuns({
      failed: (error) => failed.push(error),
      beyond: ({ ortMessage }) => beyond.push(ortMessage),
    });
  });

  let prompts = 0;
  const another = () => Uint8Array.of(++prompts);

  async function run(items: readonly number[], error: Error | null = null, prompt = another()): Promise<number[]> {
    const seen: number[] = [];
    const source = async function* () {
      yield* items;
      if (error) throw error;
    };
    for await (const item of runs.watch(prompt, source())) seen.push(item);
    return seen;
  }

  it('tell the coordinator, which may try another worker, and the log', async () => {
    await expect(run([1, 2], lost())).rejects.toThrow(RunFailed);
    await expect(run([], new TypeError('of ours'))).rejects.toThrow(/of ours/);
    expect(failed).toHaveLength(2);
    expect(beyond).toEqual([]);
  });

  it('end the worker when none goes well in between, once', async () => {
    for (let i = 1; i < ENGINE_FAILURES; i++) await run([], lost()).catch(() => {});
    expect(await run([1, 2, 3])).toEqual([1, 2, 3]);
    for (let i = 1; i < ENGINE_FAILURES; i++) await run([], lost()).catch(() => {});
    expect(beyond).toEqual([]);
    for (let i = 0; i < ENGINE_FAILURES; i++) await run([], lost()).catch(() => {});
    expect(beyond).toEqual(['device lost']);
  });

  it('count each request of a failed batch, which another worker may continue', async () => {
    const together = () => new Unavailable('a batch failed', { cause: lost() });
    for (let i = 0; i < ENGINE_FAILURES; i++) await expect(run([1], together())).rejects.toThrow(Unavailable);
    expect(beyond).toEqual(['device lost']);
  });

  it('count the failed run of a batch once, however many requests it ends', async () => {
    const together = new Unavailable('a batch failed', { cause: lost() });
    for (let i = 0; i < 2 * ENGINE_FAILURES; i++) await expect(run([1], together)).rejects.toThrow(together);
    expect(beyond).toEqual([]);
  });

  it('do not end it where it is one prompt that fails again and again', async () => {
    const prompt = another();
    for (let i = 0; i < 2 * ENGINE_FAILURES; i++) await run([], lost(), prompt).catch(() => {});
    expect(beyond).toEqual([]);
  });

  it('do not end it where it is the request that cannot be run', async () => {
    const noLogits = new InternalError('the logits are no distribution');
    for (let i = 0; i < 2 * ENGINE_FAILURES; i++) await expect(run([], noLogits)).rejects.toThrow(/no distribution/);
    expect(beyond).toEqual([]);
  });

  it('leave errors that are meant for the caller as they are', async () => {
    await expect(run([], new Overloaded('full'))).rejects.toThrow(Overloaded);
    expect(failed).toEqual([]);
  });
});
