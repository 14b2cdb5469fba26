import { afterEach, beforeAll, expect, test } from 'vitest';
import { type EngineObserver, NO_OBSERVER } from '../../../src/engine/observer.js';
import { Cancelled, DeadlineExceeded, InvalidRequest, Overloaded, Refused, Unavailable } from '../../../src/errors.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import { Value } from '../../../src/ort/value.js';
import type { GenerateEvent } from '../../../src/protocol/generate.js';
import { packTokens } from '../../../src/protocol/generate.js';
import { ask, collect, noise, Rig, type RigOptions, tinyModel } from './support/rig.js';

let folder: ModelFolder;
let rig: Rig;

beforeAll(async () => {
  const tiny = await tinyModel({ contextTokens: 512 });
  folder = tiny.folder;
  return tiny.remove;
});
afterEach(async () => {
  expect(await rig.close()).toEqual([]);
});

async function open(options: RigOptions = {}): Promise<void> {
  rig = await Rig.open(folder, options);
}

/** Reads events up to and including the first of this type. */
async function until(events: AsyncIterator<GenerateEvent>, type: GenerateEvent['type']): Promise<void> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) throw new Error(`the stream ended without ${type}`);
    if (value.type === type) return;
  }
}

const LONG = { stopping: { maxTokens: 400 } };

test('a prompt longer than the context is refused with both numbers', async () => {
  await open();
  const error = await rig.run(ask(noise(512, 512))).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(InvalidRequest);
  expect((error as InvalidRequest).param).toBe('prompt');
  expect((error as InvalidRequest).message).toContain('has 512 tokens');
  expect((error as InvalidRequest).message).toContain('context of 512 tokens');
});

test('an answer ends at the end of the context', async () => {
  await open();
  const { ids, end } = await rig.run(ask(noise(505, 512), LONG));
  expect(ids).toHaveLength(7);
  expect(end).toEqual({ reason: 'length', token: null });
});

test('invalid requests are refused before anything runs, and the error names the field', async () => {
  await open();
  const bad: [Parameters<typeof rig.run>[0], string][] = [
    [ask([]), 'prompt'],
    [ask([1, 512, 2]), 'prompt'],
    [ask([1, 2], { resumeTokens: 2 }), 'prompt'],
    [ask([1, 2], { sampling: { logitBias: [[512, 1]] } }), 'logit_bias'],
    [ask([1, 2], { sampling: { allowed: packTokens([512]) } }), 'allowed_token_ids'],
    [ask([1, 2], { sampling: { banned: [[1], [2, 512]] } }), 'bad_words'],
    [ask([1, 2], { sampling: { logprobs: 1, logprobTokens: [512] } }), 'logprob_token_ids'],
  ];
  for (const [request, param] of bad) {
    await expect(rig.run(request)).rejects.toSatisfy((e) => e instanceof InvalidRequest && e.param === param);
  }
  expect(rig.cache.prepared).toBe(0);
});

test("another fleet's request is refused with both fingerprints", async () => {
  await open();
  const error = await rig.run({ ...ask([1]), fingerprint: 'a'.repeat(64) }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Refused);
  expect((error as Refused).message).toContain('a'.repeat(64));
  expect((error as Refused).message).toContain('f'.repeat(64));
});

test('a full line refuses the next request at once, and the waiting requests are answered', async () => {
  await open({ slots: 1, maxWaiting: 3 });
  let openGate: () => void = () => {};
  rig.cache.gate = new Promise((resolve) => {
    openGate = resolve;
  });
  const waiting = [1, 2, 3].map((id) => rig.run(ask([id])));
  await expect(rig.run(ask([4]))).rejects.toThrow(Overloaded);
  expect(rig.engine.stats()).toMatchObject({ waiting: 3, running: 0 });
  openGate();
  for (const answer of waiting) expect((await answer).ids).toHaveLength(10);
});

test('a request cancelled while its prefix is loading leaves the line at once', async () => {
  await open();
  rig.cache.gate = new Promise(() => {});
  const abort = new AbortController();
  const answer = rig.run(ask(noise(100, 512)), abort.signal);
  abort.abort();
  await expect(answer).rejects.toThrow(Cancelled);
  expect(rig.engine.stats().waiting).toBe(0);
});

test('a request cancelled while it waits for a slot unpins its prefix', async () => {
  await open({ slots: 1 });
  const shared = noise(200, 512);
  await rig.run(ask(shared));
  const first = new AbortController();
  const running = rig.engine.generate(ask(noise(20, 512), LONG), first.signal);
  await until(running, 'tokens');
  const abort = new AbortController();
  const answer = rig.run(ask(shared), abort.signal);
  await expect.poll(() => rig.cache.pins).toBe(1);
  abort.abort(new DeadlineExceeded('too late'));
  await expect(answer).rejects.toThrow(DeadlineExceeded);
  expect(rig.cache.pins).toBe(0);
  first.abort();
  await expect(collect(running)).rejects.toThrow(Cancelled);
});

test('a cancelled prefill is interrupted, and a sequence that waited for its blocks computes them', async () => {
  await open({ prefill: { chunkTokens: 400, pauseMs: 0 } });
  const prompt = noise(400, 512);
  const reference = await rig.run(ask(prompt));
  rig.cache.clear();
  const abort = new AbortController();
  const stopped = rig.engine.generate(ask(prompt), abort.signal);
  const other = rig.run(ask(prompt));
  await until(stopped, 'start');
  abort.abort();
  await expect(collect(stopped)).rejects.toThrow(Cancelled);
  expect((await other).ids).toEqual(reference.ids);
});

test('cancelling interrupts the run of the graph, and the next run succeeds', async () => {
  await open();
  const run = rig.graph.session.run.bind(rig.graph.session);
  const abort = new AbortController();
  const outcomes: string[] = [];
  rig.graph.session.run = (...args) => {
    abort.abort();
    const ran = run(...args);
    ran.then(
      () => outcomes.push('done'),
      (error: Error) => outcomes.push(error.name),
    );
    return ran;
  };
  await expect(rig.run(ask(noise(20, 512)), abort.signal)).rejects.toThrow(Cancelled);
  await rig.run(ask(noise(20, 512), { stopping: { maxTokens: 1 } }));
  expect(outcomes).toEqual(['Cancelled', 'done']);
});

test('a sequence cancelled while decoding leaves the batch without changing the tokens of the others', async () => {
  await open();
  const prompts = Array.from({ length: 4 }, (_, i) => noise(30 + 17 * i, 512, i + 1));
  const alone = [];
  for (const prompt of prompts) alone.push((await rig.run(ask(prompt, { stopping: { maxTokens: 60 } }))).ids);
  const abort = new AbortController();
  const cancelled = rig.engine.generate(ask(noise(50, 512, 99), LONG), abort.signal);
  await until(cancelled, 'tokens');
  const others = prompts.map((prompt) => rig.run(ask(prompt, { stopping: { maxTokens: 60 } })));
  for (let i = 0; i < 10; i++) await until(cancelled, 'tokens');
  abort.abort();
  await expect(collect(cancelled)).rejects.toThrow(Cancelled);
  for (const [i, other] of others.entries()) expect((await other).ids).toEqual(alone[i]);
});

test('a reader that stops early cancels its request', async () => {
  await open();
  for await (const event of rig.engine.generate(ask([1, 2, 3], LONG), new AbortController().signal)) {
    if (event.type === 'tokens') break;
  }
  await rig.engine.idle();
  expect(rig.engine.stats().generatedTokens).toBeLessThan(400);
});

test('a reader that does not read delays no other sequence, and gets all events later', async () => {
  await open();
  const unread = rig.engine.generate(ask([5, 6, 7], { stopping: { maxTokens: 50 } }), new AbortController().signal);
  await rig.engine.idle();
  const late = await collect(unread);
  expect(late.ids).toHaveLength(50);
  expect(late.types).toEqual(['start', 'tokens', 'end']);
});

test('a failed prefill ends only its own sequence', async () => {
  await open();
  const good = await rig.run(ask(noise(20, 512)));
  const run = rig.graph.session.run.bind(rig.graph.session);
  let failing = 1;
  rig.graph.session.run = (...args) => (failing-- > 0 ? Promise.reject(new Error('no more memory')) : run(...args));
  await expect(rig.run(ask(noise(20, 512, 2)))).rejects.toThrow('no more memory');
  expect((await rig.run(ask(noise(20, 512)))).ids).toEqual(good.ids);
});

test('a request that runs out of memory fails with Unavailable, and no other request fails', async () => {
  await open();
  const good = await rig.run(ask(noise(20, 512)));
  const run = rig.graph.session.run.bind(rig.graph.session);
  // A real failure, with the allocator's own message.
  let failing = 1;
  rig.graph.session.run = async (...args) => {
    if (failing-- > 0) Value.allocate(rig.graph.runtime, 'float32', [2 ** 40, 2 ** 10]);
    return run(...args);
  };
  const [lost, kept] = [rig.run(ask(noise(20, 512, 2))), rig.run(ask(noise(20, 512)))];
  await expect(lost).rejects.toBeInstanceOf(Unavailable);
  expect((await kept).ids).toEqual(good.ids);
});

test('a failed decode step ends the sequences of its batch only', async () => {
  await open();
  const good = await rig.run(ask(noise(20, 512)));
  const run = rig.graph.session.run.bind(rig.graph.session);
  let runs = 0;
  rig.graph.session.run = (...args) => (++runs === 4 ? Promise.reject(new Error('no more memory')) : run(...args));
  const both = [3, 4].map((seed) => rig.run(ask(noise(10, 512, seed), LONG)).catch((e: Error) => e));
  for (const error of await Promise.all(both)) {
    // At most one of them is to blame.
    expect(error).toBeInstanceOf(Unavailable);
    expect(error).toMatchObject({ message: expect.stringContaining('no more memory') });
  }
  expect((await rig.run(ask(noise(20, 512)))).ids).toEqual(good.ids);
});

test('a failed move of a row ends all running sequences, and the engine continues', async () => {
  await open();
  const good = await rig.run(ask(noise(20, 512)));
  const move = rig.device.moveRow.bind(rig.device);
  rig.device.moveRow = () => Promise.reject(new Error('the device is lost'));
  const short = rig.run(ask(noise(9, 512), { stopping: { maxTokens: 4 } }));
  const long = rig.run(ask(noise(8, 512), LONG));
  expect((await short).ids).toHaveLength(4);
  await expect(long).rejects.toThrow('the device is lost');
  rig.device.moveRow = move;
  expect((await rig.run(ask(noise(20, 512)))).ids).toEqual(good.ids);
});

test('a block that cannot be copied for the cache is freed, and the answer does not change', async () => {
  const failures: unknown[] = [];
  await open({ observer: { ...NO_OBSERVER, onOfferFailed: (error) => failures.push(error) } });
  const prompt = noise(200, 512);
  const cut = rig.device.cut.bind(rig.device);
  const lost = new Error('the device is lost');
  rig.device.cut = () => Promise.reject(lost);
  const first = await rig.run(ask(prompt));
  await rig.engine.idle();
  expect(failures).toEqual([lost]);
  expect(rig.device.memory().blocks).toBe(0);
  rig.device.cut = cut;
  expect((await rig.run(ask(prompt))).ids).toEqual(first.ids);
});

test('a full cache keeps no more blocks, and the answer does not change', async () => {
  await open();
  const prompt = noise(300, 512);
  const good = await rig.run(ask(prompt));
  await rig.close();
  await open({ budgetBlocks: 2 });
  const first = await rig.run(ask(prompt));
  const second = await rig.run(ask(prompt));
  expect(rig.cache.size).toBe(2);
  expect([first.ids, second.ids]).toEqual([good.ids, good.ids]);
  expect(second.cached.local).toBe(128);
});

test('the common prefix of concurrent prompts is computed once', async () => {
  await open();
  const shared = noise(256, 512);
  const answers = await Promise.all([1, 2, 3, 4].map((id) => rig.run(ask([...shared, id]))));
  expect(answers.map(({ cached }) => cached.local)).toEqual([0, 256, 256, 256]);
  expect(rig.engine.stats().promptTokens).toEqual({ local: 768, remote: 0, computed: 260 });
});

test('close fails running requests and refuses new ones', async () => {
  await open();
  const running = rig.engine.generate(ask([1, 2, 3], LONG), new AbortController().signal);
  await until(running, 'tokens');
  const closed = rig.engine.close();
  await expect(collect(running)).rejects.toThrow(Unavailable);
  await closed;
  await expect(rig.run(ask([1]))).rejects.toThrow(Unavailable);
});

test('the observer is told of each sequence, and rates are measured', async () => {
  const heard: string[] = [];
  const observer: EngineObserver = {
    onQueue: () => heard.push('queue'),
    onFirstToken: () => heard.push('first'),
    onInterToken: () => heard.push('next'),
    onGuessed: () => heard.push('guessed'),
    onOfferFailed: () => heard.push('offer failed'),
    onEnd: (outcome) => heard.push(outcome),
  };
  await open({ observer });
  expect(rig.engine.stats()).toMatchObject({ computeMsPerToken: null, decodeMsPerStep: null });
  await rig.run(ask([1, 2, 3], { stopping: { maxTokens: 3 } }));
  await rig.engine.idle();
  expect(heard).toEqual(['queue', 'first', 'next', 'next', 'done']);
  const { decodeMsPerStep, generatedTokens } = rig.engine.stats();
  expect(decodeMsPerStep).toBeGreaterThan(0);
  expect(generatedTokens).toBe(3);
});

test('the speed of prefill is measured by long prompts, after the first ones', async () => {
  await open({});
  const speed = () => {
    const { computeMsPerToken, computeAgeMs } = rig.engine.stats();
    return [computeMsPerToken, computeAgeMs];
  };
  const prompt = (from: number) =>
    ask(
      Array.from({ length: 100 }, (_, i) => (from + i) % 50),
      { stopping: { maxTokens: 1 } },
    );
  for (let i = 0; i < 30; i++) await rig.run(ask([1, 2, i], { stopping: { maxTokens: 1 } }));
  await rig.run(prompt(0));
  expect(speed()).toEqual([null, null]);
  for (let i = 1; i <= 40; i++) await rig.run(prompt(i));
  for (const value of speed()) expect(value).toBeGreaterThanOrEqual(0);
});

test('accepted prompts count as queued tokens until they are computed or given up, shared blocks once', async () => {
  await open({});
  const tokens = Array.from({ length: 130 }, (_, i) => i % 50);
  const abort = new AbortController();
  const streams = [1, 2, 3].map((last) =>
    rig.engine.generate(ask([...tokens, last], { stopping: { maxTokens: 1 } }), abort.signal),
  );
  expect(rig.engine.stats().queuedTokens).toBe(128 + 3 * 3);
  for await (const _ of streams[0]!);
  abort.abort();
  await rig.engine.idle();
  expect(rig.engine.stats().queuedTokens).toBe(0);
});
