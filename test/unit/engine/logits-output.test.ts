import { afterEach, beforeEach, expect, test } from 'vitest';
import { LogitsOutput } from '../../../src/engine/logits-output.js';
import type { ModelGraph } from '../../../src/engine/model-graph.js';
import type { Binding } from '../../../src/ort/binding.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import type { Value } from '../../../src/ort/value.js';

let runtime: OrtRuntime;
let output: LogitsOutput;
beforeEach(() => {
  runtime = OrtRuntime.open();
});
afterEach(() => {
  output.release();
  runtime.release();
});

/** Binds `[batch, positions, 2]`, writes `bits` as a run would, and returns the bound shapes. */
function write(type: 'float32' | 'float16' | 'bfloat16', batch: number, bits: number[][]): readonly number[][] {
  const shapes: number[][] = [];
  const bindOutput = (_name: string, value: Value) => {
    shapes.push([...value.shape]);
    const Words = type === 'float32' ? Uint32Array : Uint16Array;
    value.bytes().set(new Uint8Array(Words.from(bits.flat()).buffer));
  };
  const graph = { runtime, vocab: 2, logitsType: type, names: { logits: 'logits' } };
  output = new LogitsOutput(graph as unknown as ModelGraph, 1);
  output.bind({ bindOutput } as unknown as Binding, batch, bits.length / batch);
  return shapes;
}

test.each([
  ['float16', [0x3c00, 0xc000], [0x3800, 0x7bff], [1, -2], [0.5, 65504]],
  ['bfloat16', [0x3f80, 0xc000], [0x3f00, 0x4780], [1, -2], [0.5, 65536]],
  ['float32', [0x3f800000, 0xc0000000], [0x3f000000, 0x47800000], [1, -2], [0.5, 65536]],
] as const)(
  '%s logits are read as float32, row by row, after the memory has grown',
  (type, first, second, one, two) => {
    expect(write(type, 1, [[...first], [...second]])).toEqual([[1, 2, 2]]);
    expect(Array.from(output.row(0))).toEqual([...one]);
    expect(Array.from(output.row(1))).toEqual([...two]);
  },
);
