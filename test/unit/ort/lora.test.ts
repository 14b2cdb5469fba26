import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { loadModelGraph } from '../../../src/engine/model-graph.js';
import { readAdapter } from '../../../src/model/adapter/adapter-file.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { functionAt, loadLibrary, type NativeFunction, readPointer } from '../../../src/native/ffi.js';
import { ortLibraryPath } from '../../../src/ort/library.js';
import { RunOptions } from '../../../src/ort/run-options.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { Value } from '../../../src/ort/value.js';

/** Why adapters are bound as inputs: ONNX Runtime's own way has no effect on runs with a binding. */

it('a run with a binding takes an adapter as inputs, and none from its options', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-lora-'));
  await synthesize({ ...SYNTH_PRESETS.tiny, loraRank: 4 }, dir);
  const runtime = OrtRuntime.open();
  const graph = await loadModelGraph(runtime, await openModelFolder(dir), { threads: 1, allowSpinning: false });
  const file = readFileSync(join(dir, 'adapters/tuned-a.onnx_adapter'));
  rmSync(dir, { recursive: true });
  const { calls } = runtime.environment;
  const base = loadLibrary(ortLibraryPath()).function<[], number>('OrtGetApiBase', 'uintptr_t', [])();
  const api = (functionAt(readPointer(base), 'uintptr_t', ['uint32_t']) as NativeFunction<[number], number>)(23);
  const call = (slot: number, ...types: string[]) =>
    functionAt(readPointer(api + 8 * slot), 'uintptr_t', types) as NativeFunction<unknown[], number>;
  const create = call(281, 'void *', 'size_t', 'uintptr_t', 'uintptr_t');
  const adapter = calls.result(create(file, file.length, 0, calls.out), 'load an adapter');
  const options = new RunOptions(runtime);
  calls.check(call(283, 'uintptr_t', 'uintptr_t')(options.pointer, adapter), 'use an adapter');

  const logits = async (asInputs: boolean, runOptions?: RunOptions): Promise<number[]> => {
    const binding = graph.session.createBinding();
    const bind = (name: string, shape: number[], values: bigint[]) => {
      const bytes = new Uint8Array(BigInt64Array.from(values).buffer);
      binding.bindInput(name, Value.viewBytes(runtime, bytes, 'int64', shape));
    };
    bind('input_ids', [1, 3], [5n, 6n, 7n]);
    bind('attention_mask', [1, 3], [1n, 1n, 1n]);
    bind('num_logits_to_keep', [], [1n]);
    for (const name of graph.names.past) binding.bindInput(name, Value.allocate(runtime, 'float32', [1, 2, 0, 16]));
    for (const name of [...graph.names.present, 'logits']) binding.bindOutputToDevice(name, 'cpu');
    if (asInputs)
      for (const { name, elementType, dims, data } of readAdapter(file))
        binding.bindInput(name, Value.viewBytes(runtime, Uint8Array.from(data), elementType, dims));
    await graph.session.run(binding, runOptions);
    const made = binding.outputs().get('logits')!;
    const numbers = [...new Float32Array(made.bytes().slice().buffer)];
    binding.release();
    return numbers;
  };

  const plain = await logits(false);
  expect(await logits(false, options)).toEqual(plain);
  expect(await logits(true)).not.toEqual(plain);
  expect(await logits(false)).toEqual(plain);
  options.release();
  call(282, 'uintptr_t')(adapter);
  graph.release();
  runtime.release();
});
