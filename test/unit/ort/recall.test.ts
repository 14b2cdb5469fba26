import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cancelled } from '../../../src/errors.js';
import { liveHandles } from '../../../src/native/handle.js';
import type { Binding } from '../../../src/ort/binding.js';
import { RunOptions } from '../../../src/ort/run-options.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import type { Session } from '../../../src/ort/session.js';
import { Value } from '../../../src/ort/value.js';
import { argmax, RECALL, Rows, someTokens } from './recall.js';

describe('a decoder whose K/V is appended in place', () => {
  let runtime: OrtRuntime;
  let session: Session;
  const opened: Rows[] = [];
  const rows = (count: number, capacityTokens: number): Rows => {
    const made = new Rows(runtime, count, capacityTokens);
    opened.push(made);
    return made;
  };

  /** Binds a prompt of the given tokens, without past K/V. */
  const bindPrompt = (binding: Binding, tokens: number): void => {
    for (const { name, elementType } of session.inputs) {
      const value = Value.allocate(runtime, elementType, name.startsWith('past') ? [1, 2, 0, 64] : [1, tokens]);
      if (name === 'input_ids') value.bytes().fill(0);
      if (name === 'attention_mask') value.bytes().set(new Uint8Array(new BigInt64Array(tokens).fill(1n).buffer));
      binding.bindInput(name, value);
      value.release();
    }
  };

  beforeAll(async () => {
    runtime = OrtRuntime.open();
    session = await runtime.openSession(RECALL, { intraOpThreads: 2, allowSpinning: false });
  });
  afterEach(() => {
    for (const made of opened.splice(0)) made.release();
  });
  afterAll(() => {
    session.release();
    runtime.release();
    expect(liveHandles()).toEqual({});
  });

  test('reports its inputs and outputs, with the names of their symbolic dimensions', () => {
    expect(session.inputs).toHaveLength(2 + 8);
    expect(session.inputs[0]).toEqual({
      name: 'input_ids',
      elementType: 'int64',
      dims: ['batch_size', 'sequence_length'],
    });
    expect(session.inputs.find(({ name }) => name === 'past_key_values.3.value')).toEqual({
      name: 'past_key_values.3.value',
      elementType: 'float32',
      dims: ['batch_size', 2, 'past_sequence_length', 64],
    });
    expect(session.outputs.map(({ name }) => name)).toContain('present.0.key');
    expect(session.outputs.find(({ name }) => name === 'logits')?.dims[2]).toBeTypeOf('number');
  });

  test('computes bit-identical last logits for a prompt as a whole, in parts, and over existing K/V', async () => {
    const tokens = someTokens(150, 1);
    const whole = await rows(1, 160).run(session, 0, [tokens], [0]);
    const parts = rows(2, 200);
    await parts.run(session, 1, [tokens.slice(0, 64)], [0]);
    await parts.run(session, 1, [tokens.slice(64, 128)], [64]);
    expect(await parts.run(session, 1, [tokens.slice(128)], [128])).toEqual(whole);
    expect(await parts.run(session, 1, [tokens.slice(64)], [64])).toEqual(whole);
    const other = await parts.run(session, 1, [[...tokens.slice(128, -1), tokens.at(-1)! ^ 1]], [128]);
    expect(other).not.toEqual(whole);
  });

  test('decodes rows of different lengths in a batch as it decodes each alone', async () => {
    const prompts = [7, 31, 64, 90].map((length, seed) => someTokens(length, seed));
    const alone: number[][] = [];
    for (const prompt of prompts) {
      const own = rows(1, 128);
      const text = [argmax((await own.run(session, 0, [prompt], [0]))[0]!)];
      while (text.length < 8) {
        text.push(argmax((await own.run(session, 0, [text.slice(-1)], [prompt.length + text.length - 1]))[0]!));
      }
      alone.push(text);
    }
    const all = rows(prompts.length, 128);
    const texts: number[][] = [];
    for (const [row, prompt] of prompts.entries())
      texts.push([argmax((await all.run(session, row, [prompt], [0]))[0]!)]);
    for (let step = 1; step < 8; step += 1) {
      const logits = await all.run(
        session,
        0,
        texts.map((text) => text.slice(-1)),
        prompts.map((prompt) => prompt.length + step - 1),
      );
      for (const [row, own] of logits.entries()) texts[row]!.push(argmax(own));
    }
    expect(texts).toEqual(alone);
  });

  test('does not block the event loop while it runs, and stops when terminated', async () => {
    const binding = session.createBinding();
    for (const { name } of session.outputs) binding.bindOutputToDevice(name, 'cpu');
    bindPrompt(binding, 3000);
    const options = new RunOptions(runtime);

    let ticks = 0;
    let over = false;
    const run = session.run(binding, options).finally(() => {
      over = true;
    });
    const stopped = expect(run).rejects.toThrow(Cancelled);
    // An uninterrupted run takes far more turns of the event loop.
    while (ticks < 10) {
      await new Promise((resolve) => setImmediate(resolve));
      ticks += 1;
    }
    expect(over).toBe(false);
    options.terminate();
    await stopped;
    expect(() => binding.outputs()).toThrow(/without a run/);
    await expect(session.run(binding, options)).rejects.toThrow(Cancelled);

    options.reset();
    bindPrompt(binding, 3);
    await session.run(binding, options);
    const outputs = binding.outputs();
    expect(outputs.get('present.2.key')?.shape).toEqual([1, 2, 3, 64]);
    for (const handle of [...outputs.values(), binding, options]) handle.release();
  });
});
