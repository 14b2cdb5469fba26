import { constants } from 'node:buffer';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cancelled, InternalError, Unavailable } from '../../../src/errors.js';
import { viewMemory } from '../../../src/native/ffi.js';
import { liveHandles } from '../../../src/native/handle.js';
import { type ElementType, elementBytes, elementTypeOf, onnxNumber } from '../../../src/ort/element-type.js';
import { loadOrtLibrary } from '../../../src/ort/library.js';
import { NativeMemory } from '../../../src/ort/memory.js';
import { OrtError } from '../../../src/ort/ort-error.js';
import { RunOptions } from '../../../src/ort/run-options.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import type { Session } from '../../../src/ort/session.js';
import { Value } from '../../../src/ort/value.js';
import { type GraphSpec, onnxModel } from './graph.js';

const OPTIONS = { intraOpThreads: 1, allowSpinning: false };

/** `sum = a + b`, `double = a + a`, over float32[n, 3]. */
const ADD: GraphSpec = {
  inputs: [
    { name: 'a', type: 1, dims: ['n', 3] },
    { name: 'b', type: 1, dims: ['n', 3] },
  ],
  outputs: [
    { name: 'sum', type: 1, dims: ['n', 3] },
    { name: 'double', type: 1, dims: ['n', 3] },
  ],
  nodes: [
    { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
    { op: 'Add', inputs: ['a', 'a'], outputs: ['double'] },
  ],
  metadata: { 'shoal.note': 'Grüße 🐟', empty: '' },
};

let runtime: OrtRuntime;
const opened: { release(): void }[] = [];

/** Releases the handle when the test ends. */
function own<T extends { release(): void }>(handle: T): T {
  opened.push(handle);
  return handle;
}

async function openAdd(): Promise<Session> {
  return own(await runtime.openSession(onnxModel(ADD), OPTIONS));
}

function floats(numbers: number[], shape = [numbers.length / 3, 3]): Value {
  const value = own(Value.allocate(runtime, 'float32', shape));
  value.bytes().set(new Uint8Array(Float32Array.from(numbers).buffer));
  return value;
}

function numbers(value: Value | undefined): number[] {
  return [...new Float32Array(Uint8Array.from(value!.bytes()).buffer)];
}

beforeEach(() => {
  runtime = OrtRuntime.open();
});

afterEach(() => {
  for (const handle of opened.splice(0).reverse()) handle.release();
  runtime.release();
  expect(liveHandles()).toEqual({});
});

describe('a runtime', () => {
  test('reports its version and providers', () => {
    expect(runtime.version).toMatch(/^1\.\d+\.\d+$/);
    expect(runtime.providers()).toContain('CPUExecutionProvider');
  });

  test('shares one environment with all runtimes of the process, and objects made with it outlive it', async () => {
    const other = OrtRuntime.open();
    expect(liveHandles().environment).toBe(1);
    const session = own(await other.openSession(onnxModel(ADD), OPTIONS));
    other.release();
    other.release();
    expect(liveHandles().environment).toBe(1);
    const binding = own(session.createBinding());
    binding.bindInput('a', floats([1, 2, 3]));
    binding.bindInput('b', floats([1, 1, 1]));
    binding.bindOutputToDevice('sum', 'cpu');
    await session.run(binding);
    expect(numbers(own(binding.outputs().get('sum')!))).toEqual([2, 3, 4]);
    expect(() => other.providers()).toThrow(/after its release/);
  });

  test('can be opened again after everything was released', async () => {
    runtime.release();
    expect(liveHandles().environment).toBeUndefined();
    runtime = OrtRuntime.open();
    expect((await openAdd()).inputs).toHaveLength(2);
  });

  test('names the library that cannot be loaded, and the remedy', () => {
    expect(() => loadOrtLibrary('/nowhere/libonnxruntime.so.1')).toThrow(Unavailable);
    expect(() => loadOrtLibrary('/nowhere/libonnxruntime.so.1')).toThrow(/\/nowhere.*SHOAL_ORT_LIBRARY/);
  });
});

describe('a session', () => {
  test('describes its graph', async () => {
    const session = await openAdd();
    expect(session.inputs).toEqual([
      { name: 'a', elementType: 'float32', dims: ['n', 3] },
      { name: 'b', elementType: 'float32', dims: ['n', 3] },
    ]);
    expect(session.outputs.map(({ name }) => name)).toEqual(['sum', 'double']);
    expect(session.metadata('shoal.note')).toBe('Grüße 🐟');
    expect(session.metadata('empty')).toBe('');
    expect(session.metadata('other')).toBeNull();
  });

  test('knows every element type of the binding', async () => {
    const types = ['float32', 'int8', 'uint16', 'int64', 'bool', 'float16', 'float64', 'uint64', 'bfloat16'] as const;
    for (const type of types) {
      const tensor = { type: onnxNumber(type), dims: [2, 'x', 'y'] };
      const graph = {
        inputs: [{ name: 'i', ...tensor }],
        outputs: [{ name: 'o', ...tensor }],
        nodes: [{ op: 'Identity', inputs: ['i'], outputs: ['o'] }],
      };
      const session = own(await runtime.openSession(onnxModel(graph), OPTIONS));
      expect(session.inputs[0]).toEqual({ name: 'i', elementType: type, dims: [2, 'x', 'y'] });
      expect(elementTypeOf(onnxNumber(type))).toBe(type);
    }
    expect(() => elementTypeOf(8)).toThrow(/element type 8/);
  });

  test('finds external weights of a model that is given as bytes', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'shoal-ort-'));
    try {
      const weights = Float32Array.from({ length: 3 }, (_, index) => 10 * index);
      await writeFile(path.join(folder, 'weights.bin'), new Uint8Array(weights.buffer));
      const model = onnxModel({
        inputs: [{ name: 'a', type: 1, dims: ['n', 3] }],
        outputs: [{ name: 'sum', type: 1, dims: ['n', 3] }],
        nodes: [{ op: 'Add', inputs: ['a', 'w'], outputs: ['sum'] }],
        external: { name: 'w', dims: [3], file: 'weights.bin', byteLength: 12 },
      });
      await expect(runtime.openSession(model, OPTIONS)).rejects.toThrow(/weights\.bin/);
      const session = own(await runtime.openSession(model, { ...OPTIONS, externalDataFolder: folder }));
      const binding = own(session.createBinding());
      binding.bindInput('a', floats([1, 2, 3]));
      binding.bindOutputToDevice('sum', 'cpu');
      await session.run(binding);
      expect(numbers(own(binding.outputs().get('sum')!))).toEqual([1, 12, 23]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("refuses models that cannot be loaded, with ONNX Runtime's message and code", async () => {
    const missing = runtime.openSession('/nowhere/model.onnx', OPTIONS);
    await expect(missing).rejects.toThrow(OrtError);
    await expect(missing).rejects.toMatchObject({ ortCode: 'NO_SUCHFILE', code: 'internal' });
    await expect(missing).rejects.toThrow(/\/nowhere\/model\.onnx.*(doesn't|does not) exist/);
    const garbage = runtime.openSession(Uint8Array.of(1, 2, 3), OPTIONS);
    await expect(garbage).rejects.toMatchObject({ ortCode: 'INVALID_PROTOBUF' });
    const unknown = onnxModel({ ...ADD, nodes: [{ op: 'Swim', inputs: ['a'], outputs: ['sum', 'double'] }] });
    await expect(runtime.openSession(unknown, OPTIONS)).rejects.toThrow(/Swim/);
    const texts = { name: 't', type: 8, dims: ['n'] };
    const text = { inputs: [texts], outputs: [{ ...texts, name: 'u' }] };
    const identity = { ...text, nodes: [{ op: 'Identity', inputs: ['t'], outputs: ['u'] }] };
    await expect(runtime.openSession(onnxModel(identity), OPTIONS)).rejects.toThrow(/element type 8/);
    const wrong = { ...OPTIONS, config: { '': '1' } };
    await expect(runtime.openSession(onnxModel(ADD), wrong)).rejects.toThrow(OrtError);
  });
});

describe('a binding', () => {
  test('reads and writes the tensors it was given, run after run', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    const [a, b, sum, double] = [floats([1, 2, 3]), floats([5, 5, 5]), floats([0, 0, 0]), floats([0, 0, 0])];
    binding.bindInput('a', a);
    binding.bindInput('b', b);
    binding.bindOutput('sum', sum);
    binding.bindOutput('double', double);
    await session.run(binding);
    expect([numbers(sum), numbers(double)]).toEqual([
      [6, 7, 8],
      [2, 4, 6],
    ]);
    a.bytes().set(new Uint8Array(Float32Array.of(10, 20, 30).buffer));
    await session.run(binding);
    expect(numbers(sum)).toEqual([15, 25, 35]);
    expect(binding.outputs().size).toBe(0);
  });

  test('works in place where one tensor is input and output', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    const value = floats([1, 2, 3]);
    binding.bindInput('a', value);
    binding.bindInput('b', floats([1, 1, 1]));
    binding.bindOutput('sum', value);
    for (let step = 0; step < 5; step += 1) await session.run(binding);
    expect(numbers(value)).toEqual([6, 7, 8]);
  });

  test('allocates new tensors in each run for outputs bound to a device, whatever their shape was before', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    binding.bindOutputToDevice('sum', 'cpu');
    binding.bindOutputToDevice('double', 'cpu');
    const seen: Value[] = [];
    for (const rows of [1, 4, 2]) {
      const a = Array.from({ length: 3 * rows }, (_, index) => index);
      binding.bindInput('a', floats(a));
      binding.bindInput('b', floats(a.map(() => 100)));
      await session.run(binding);
      const outputs = binding.outputs();
      expect([...outputs.keys()]).toEqual(['sum', 'double']);
      expect(outputs.get('sum')!.shape).toEqual([rows, 3]);
      for (const value of outputs.values()) seen.push(own(value));
    }
    expect(seen.filter((_, index) => index % 2 === 0).map((sum) => numbers(sum)[2])).toEqual([102, 102, 102]);
    expect(seen.map((value) => numbers(value).length)).toEqual([3, 3, 12, 12, 6, 6]);
  });

  test('returns only outputs bound to a device, not those bound to a tensor', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    binding.bindInput('a', floats([1, 2, 3]));
    binding.bindInput('b', floats([10, 10, 10]));
    const place = floats([0, 0, 0]);
    binding.bindOutputToDevice('double', 'cpu');
    binding.bindOutput('sum', place);
    await session.run(binding);
    expect(numbers(own(binding.outputs().get('double')!))).toEqual([2, 4, 6]);
    binding.bindOutput('double', place);
    binding.bindOutputToDevice('sum', 'cpu');
    await session.run(binding);
    const outputs = binding.outputs();
    expect([...outputs.keys()]).toEqual(['sum']);
    expect(numbers(own(outputs.get('sum')!))).toEqual([11, 12, 13]);
    expect(numbers(place)).toEqual([2, 4, 6]);
  });

  test('can be cleared and bound again', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    binding.bindInput('a', floats([1, 2, 3]));
    binding.bindOutput('sum', floats([0, 0, 0]));
    binding.clearInputs();
    binding.clearOutputs();
    const [a, b] = [floats([1, 1, 1, 1, 1, 1]), floats([2, 2, 2, 2, 2, 2])];
    binding.bindInput('a', a);
    binding.bindInput('b', b);
    binding.bindOutputToDevice('sum', 'cpu');
    expect(() => binding.outputs()).toThrow(/without a run/);
    await session.run(binding);
    expect(numbers(own(binding.outputs().get('sum')!))).toEqual([3, 3, 3, 3, 3, 3]);
  });

  test("refuses unknown names at once, and wrong types and shapes with ONNX Runtime's message", async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    const right = floats([1, 2, 3]);
    expect(() => binding.bindInput('nobody', right)).toThrow(/no input nobody; it has a, b/);
    expect(() => binding.bindOutput('nobody', right)).toThrow(/no output nobody; it has sum, double/);
    expect(() => binding.bindOutputToDevice('nobody', 'cpu')).toThrow(/nobody/);
    binding.bindInput('a', right);
    binding.bindOutputToDevice('sum', 'cpu');
    await expect(session.run(binding)).rejects.toThrow(/Missing Input: b/);
    binding.bindInput('b', floats([1, 2, 3, 4], [2, 2]));
    await expect(session.run(binding)).rejects.toThrow(/Got: 2 Expected: 3/);
    binding.bindInput('b', own(Value.allocate(runtime, 'int64', [1, 3])));
    await expect(session.run(binding)).rejects.toMatchObject({ ortCode: 'INVALID_ARGUMENT' });
    binding.bindInput('b', floats([1, 2, 3]));
    await session.run(binding);
    expect(numbers(own(binding.outputs().get('sum')!))).toEqual([2, 4, 6]);
  });

  test('refuses changes during a run, but may be released', async () => {
    const session = await openAdd();
    const binding = session.createBinding();
    const [a, sum] = [floats([1, 2, 3]), floats([0, 0, 0])];
    const options = new RunOptions(runtime);
    binding.bindInput('a', a);
    binding.bindInput('b', a);
    binding.bindOutput('sum', sum);
    const run = session.run(binding, options);
    expect(() => binding.bindInput('a', a)).toThrow(/while a run uses it/);
    expect(() => binding.outputs()).toThrow(/while a run uses it/);
    await expect(session.run(binding)).rejects.toThrow(/while a run uses it/);
    binding.release();
    options.release();
    session.release();
    expect(liveHandles()).toMatchObject({ binding: 1, session: 1, runOptions: 1 });
    await run;
    for (const kind of ['binding', 'session', 'runOptions']) expect(liveHandles()).not.toHaveProperty(kind);
    expect(numbers(sum)).toEqual([2, 4, 6]);
    await expect(session.run(binding)).rejects.toThrow(/after its release/);
  });

  test('runs concurrently with other bindings of the same session', async () => {
    const session = await openAdd();
    const runs = Array.from({ length: 20 }, async (_, index) => {
      const binding = own(session.createBinding());
      binding.bindInput('a', floats([index, 0, 0]));
      binding.bindInput('b', floats([1, 1, 1]));
      binding.bindOutputToDevice('sum', 'cpu');
      await session.run(binding);
      return numbers(own(binding.outputs().get('sum')!))[0];
    });
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('rejects with Cancelled while its run options are terminated, until they are reset', async () => {
    const session = await openAdd();
    const binding = own(session.createBinding());
    const options = own(new RunOptions(runtime));
    binding.bindInput('a', floats([1, 2, 3]));
    binding.bindInput('b', floats([1, 2, 3]));
    binding.bindOutputToDevice('sum', 'cpu');
    options.terminate();
    expect(options.terminated).toBe(true);
    const stopped = session.run(binding, options);
    await expect(stopped).rejects.toThrow(Cancelled);
    await expect(stopped).rejects.toMatchObject({ cause: expect.any(OrtError) });
    options.reset();
    await session.run(binding, options);
    own(binding.outputs().get('sum')!);
  });
});

describe('a value', () => {
  test('is a view of the memory that it was made over', () => {
    const memory = own(NativeMemory.allocate(runtime, 1000));
    memory.bytes.fill(7);
    const types: ElementType[] = ['float16', 'bfloat16', 'uint8', 'int64', 'float32'];
    for (const type of types) {
      const value = own(Value.view(memory, 64, type, [2, 3]));
      expect(value.bytes()).toHaveLength(6 * elementBytes(type));
      value.bytes().fill(9);
      expect([memory.bytes[63], memory.bytes[64], memory.bytes[64 + 6 * elementBytes(type)]]).toEqual([7, 9, 7]);
      memory.bytes.fill(7);
      expect(value.bytes()[0]).toBe(7);
    }
  });

  test('may be empty', () => {
    const memory = own(NativeMemory.allocate(runtime, 16));
    expect(own(Value.view(memory, 16, 'float32', [1, 0, 64])).bytes()).toHaveLength(0);
    expect(own(Value.allocate(runtime, 'float16', [0])).bytes()).toHaveLength(0);
    expect(own(Value.allocate(runtime, 'int64', [])).bytes()).toHaveLength(8);
  });

  test('must lie wholly within its memory', () => {
    fc.assert(
      fc.property(fc.integer({ min: -8, max: 80 }), fc.nat({ max: 20 }), (offset, elements) => {
        const memory = NativeMemory.allocate(runtime, 64);
        const make = () => Value.view(memory, offset, 'float32', [elements]).release();
        if (offset >= 0 && offset % 4 === 0 && offset + 4 * elements <= 64) make();
        else expect(make).toThrow(/does not lie in memory of 64 bytes/);
        memory.release();
      }),
    );
    const memory = own(NativeMemory.allocate(runtime, 64));
    for (const shape of [[-1], [1.5], [2 ** 60], [Number.NaN]]) {
      expect(() => Value.view(memory, 0, 'uint8', shape)).toThrow(InternalError);
      expect(() => Value.allocate(runtime, 'uint8', shape)).toThrow();
    }
  });

  test('keeps its memory alive, and so does a binding of it, after value and memory were released', async () => {
    const session = await openAdd();
    const binding = session.createBinding();
    const memory = NativeMemory.allocate(runtime, 4096);
    const value = Value.view(memory, 1024, 'float32', [1, 3]);
    value.bytes().set(new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    memory.release();
    expect(liveHandles().memory).toBe(1);
    expect(() => Value.view(memory, 0, 'uint8', [1])).toThrow(/after its release/);
    binding.bindInput('a', value);
    binding.bindInput('b', value);
    binding.bindOutputToDevice('double', 'cpu');
    value.release();
    expect(() => value.bytes()).toThrow(/after its release/);
    expect(liveHandles().memory).toBe(1);
    expect(liveHandles().value).toBeUndefined();
    await session.run(binding);
    expect(numbers(own(binding.outputs().get('double')!))).toEqual([2, 4, 6]);
    const other = floats([1, 1, 1]);
    binding.bindInput('a', other);
    expect(liveHandles().memory).toBe(1);
    binding.bindInput('b', other);
    expect(liveHandles().memory).toBeUndefined();
    binding.release();
  });
});

describe('native memory', () => {
  test('is aligned to 64 bytes, and takes up physical memory only where it is touched', () => {
    const before = process.memoryUsage.rss();
    const big = own(NativeMemory.allocate(runtime, 3 * 2 ** 30));
    big.bytes[2 ** 31] = 1;
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 29);
    for (const byteLength of [1, 100, 5000, 2 ** 20]) {
      expect(own(NativeMemory.allocate(runtime, byteLength)).pointer % 64).toBe(0);
    }
  });

  test('larger than the largest view throws a RangeError instead of ending the process', () => {
    expect(() => viewMemory(4096, constants.MAX_LENGTH + 1)).toThrow(RangeError);
  });

  test('of no size, or of more than the system has, is refused', () => {
    for (const byteLength of [0, -1, 0.5, Number.NaN, 2 ** 60]) {
      expect(() => NativeMemory.allocate(runtime, byteLength)).toThrow(InternalError);
    }
  });

  test('may be released twice', () => {
    const memory = NativeMemory.allocate(runtime, 10);
    memory.release();
    memory.release();
    expect(() => memory.bytes).toThrow(/after its release/);
    expect(liveHandles().memory).toBeUndefined();
  });
});
