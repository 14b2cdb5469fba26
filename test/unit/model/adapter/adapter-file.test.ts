import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../src/errors.js';
import { type AdapterParameter, readAdapter, writeAdapter } from '../../../../src/model/adapter/adapter-file.js';
import { readSafetensors, writeSafetensors } from '../../../../src/model/adapter/safetensors.js';
import { functionAt, loadLibrary, type NativeFunction, readPointer } from '../../../../src/native/ffi.js';
import { tensorBytes } from '../../../../src/ort/element-type.js';
import { ortLibraryPath } from '../../../../src/ort/library.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';

const TYPES = ['float32', 'float16', 'bfloat16'] as const;

const parameters = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), { maxLength: 6 })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc
          .record({ elementType: fc.constantFrom(...TYPES), dims: fc.array(fc.nat(4), { minLength: 1, maxLength: 2 }) })
          .chain(({ elementType, dims }) => {
            const length = tensorBytes(elementType, dims);
            const data = fc.uint8Array({ minLength: length, maxLength: length });
            return data.map((bytes) => ({ name, elementType, dims, data: bytes }));
          }),
      ),
    ),
  );

/** Changes some bytes, and perhaps the length. */
const damage = fc.record({
  bytes: fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 6 }),
  keep: fc.integer({ min: 0, max: 400 }),
});

function damaged(whole: Buffer, { bytes, keep }: { bytes: [number, number][]; keep: number }): Buffer {
  const copy = Buffer.from(whole);
  for (const [at, value] of bytes) if (at < copy.length) copy[at] = value;
  return copy.subarray(0, Math.max(keep, copy.length - keep));
}

function readsOrRefuses(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(Corrupt);
  }
}

describe('an adapter file', () => {
  it('gives back what was written', () => {
    fc.assert(
      fc.property(parameters, (written) => {
        const read = readAdapter(Buffer.concat(writeAdapter(written)));
        expect(read.map((one) => ({ ...one, data: Uint8Array.from(one.data) }))).toEqual(written);
      }),
    );
  });

  it('has its numbers where a reader that maps it finds them aligned', () => {
    const one = { name: 'abc', elementType: 'float32', dims: [2, 1], data: new Uint8Array(8).fill(7) } as const;
    const file = Buffer.concat(writeAdapter([one, { ...one, name: 'b' }]));
    for (const { data } of readAdapter(file)) expect((data.byteOffset - file.byteOffset) % 8).toBe(0);
  });

  it('that is damaged is read within its bounds, or refused as corrupt', () => {
    fc.assert(
      fc.property(parameters, damage, (written, how) => {
        readsOrRefuses(() => readAdapter(damaged(Buffer.concat(writeAdapter(written)), how)));
      }),
      { numRuns: 2_000 },
    );
    expect(() => readAdapter(Buffer.from('no adapter at all'))).toThrow('no identifier "TORT"');
  });

  it('is one that ONNX Runtime reads', () => {
    const runtime = OrtRuntime.open();
    const { calls } = runtime.environment;
    const base = loadLibrary(ortLibraryPath()).function<[], number>('OrtGetApiBase', 'uintptr_t', [])();
    const api = (functionAt(readPointer(base), 'uintptr_t', ['uint32_t']) as NativeFunction<[number], number>)(23);
    const slot = (n: number, ...types: string[]) => functionAt(readPointer(api + 8 * n), 'uintptr_t', types);
    const create = slot(281, 'void *', 'size_t', 'uintptr_t', 'uintptr_t') as NativeFunction<
      [Uint8Array, number, number, number],
      number
    >;
    const release = slot(282, 'uintptr_t') as NativeFunction<[number], number>;
    const load = (written: readonly AdapterParameter[]) => {
      const file = Buffer.concat(writeAdapter(written));
      return calls.result(create(file, file.length, 0, calls.out), 'load an adapter');
    };
    const data = new Uint8Array(24);
    const one = { name: 'a.lora_A.weight', elementType: 'float32', dims: [2, 3], data } as const;
    release(load([one, { ...one, name: 'a.lora_B.weight', dims: [3, 2] }]));
    expect(() => load([{ ...one, dims: [2, 4] }])).toThrow();
    runtime.release();
  });
});

describe('a safetensors file', () => {
  it('gives back what was written, in the order of the names', () => {
    fc.assert(
      fc.property(parameters, (written) => {
        const plain = written.filter(({ name }) => name !== '__proto__');
        const read = readSafetensors(Buffer.concat(writeSafetensors(plain)));
        const byName = (list: readonly AdapterParameter[]) =>
          new Map(list.map((one) => [one.name, { ...one, data: Uint8Array.from(one.data) }]));
        expect(byName(read)).toEqual(byName(plain));
      }),
    );
  });

  it('that is damaged is read within its bounds, or refused as corrupt', () => {
    fc.assert(
      fc.property(parameters, damage, (written, how) => {
        readsOrRefuses(() => readSafetensors(damaged(Buffer.concat(writeSafetensors(written)), how)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('may have tensors of floats alone', () => {
    const header = JSON.stringify({ a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } });
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    expect(() => readSafetensors(Buffer.concat([length, Buffer.from(header), Buffer.alloc(8)]))).toThrow(
      'the type of the tensor "a" must be one of F32, F16, BF16, got I64',
    );
  });
});
