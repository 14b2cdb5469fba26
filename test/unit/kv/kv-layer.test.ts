import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt, InvalidRequest } from '../../../src/errors.js';
import { narrow, widen } from '../../../src/kv/encoding/float-bits.js';
import type { KVCast, KVEncoding } from '../../../src/kv/encoding/tensor-encoding.js';
import { packLayer, unpackLayer } from '../../../src/kv/kv-layer.js';
import type { KVFloat, KVTensor } from '../../../src/kv/kv-tensor.js';

const MOST = 2 ** 20;
const FLOATS: KVFloat[] = ['float32', 'float16', 'bfloat16'];
const LOSSLESS: KVEncoding[] = [{}, { compression: 'lz4' }, { compression: 'zstd' }];

const packed = async (tensor: KVTensor, encoding: KVEncoding = {}) =>
  Buffer.concat(await packLayer({ k: tensor, v: tensor }, encoding));
const throughBytes = async (tensor: KVTensor, encoding: KVEncoding) =>
  (await unpackLayer(await packed(tensor, encoding), MOST)).k;
const tensorOf = (dtype: KVFloat, shape: readonly number[], values: readonly number[], layout?: string): KVTensor => ({
  dtype,
  shape,
  layout,
  bytes: narrow(dtype, Float32Array.from(values)),
});
const numbersOf = ({ dtype, bytes }: KVTensor) => [...widen(dtype as KVFloat, bytes)];
/** `[heads, tokens, channels]` in the order of a layout. */
const ORDERS = ['htd', 'thd', 'dht', 'tdh'];

/** Tensors of any bits: NaN with all payloads, infinities, subnormal numbers, -0. */
const anyTensor = fc.tuple(fc.constantFrom(...FLOATS), fc.nat(3), fc.nat(5), fc.nat(9)).chain(([dtype, h, t, d]) =>
  fc.uint8Array({ minLength: h * t * d * 4, maxLength: h * t * d * 4 }).map(
    (bytes): KVTensor => ({
      dtype,
      shape: [h, t, d],
      bytes: bytes.subarray(0, (bytes.length / 4) * sizeOf(dtype)),
    }),
  ),
);
const sizeOf = (dtype: KVFloat) => (dtype === 'float32' ? 4 : 2);

describe('a layer as bytes', () => {
  it('comes back bit for bit without a cast, compressed or not', async () => {
    await fc.assert(
      fc.asyncProperty(anyTensor, fc.constantFrom(...LOSSLESS), async (tensor, encoding) => {
        const back = await throughBytes(tensor, encoding);
        expect({ ...back, bytes: [...back.bytes] }).toEqual({ ...tensor, bytes: [...tensor.bytes] });
      }),
      { numRuns: 300 },
    );
    const opaque = { dtype: 'q4', shape: [3], bytes: Uint8Array.of(1, 2, 3, 4, 5) };
    for (const encoding of LOSSLESS) expect([...(await throughBytes(opaque, encoding)).bytes]).toEqual([1, 2, 3, 4, 5]);
  });

  it('has its own element type after a cast, and the numbers that the cast has left', async () => {
    const values = [1, -2.5, 65_504, 1e-3, -0, 3.3];
    for (const dtype of FLOATS) {
      for (const cast of ['float16', 'bfloat16', 'float8e4m3fn'] as const) {
        const own = numbersOf(tensorOf(dtype, [6], values));
        const expected = [...widen(dtype, narrow(dtype, widen(cast, narrow(cast, Float32Array.from(own)))))];
        for (const { compression } of LOSSLESS) {
          const back = await throughBytes(tensorOf(dtype, [6], values), { cast, compression });
          expect(back.dtype).toBe(dtype);
          expect(numbersOf(back)).toEqual(expected);
        }
      }
    }
  });

  it('keeps each number within half a step of the scale of its head and channel, in every layout', async () => {
    const some = fc.tuple(
      fc.constantFrom(...ORDERS),
      fc.constantFrom(...FLOATS),
      fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 24, maxLength: 24 }),
    );
    await fc.assert(
      fc.asyncProperty(some, async ([layout, dtype, values]) => {
        const sizes: Record<string, number> = { h: 2, t: 3, d: 4 };
        const shape = [...layout].map((axis) => sizes[axis]!);
        const tensor = tensorOf(dtype, shape, values, layout);
        const own = numbersOf(tensor);
        const back = numbersOf(await throughBytes(tensor, { cast: 'int8' }));
        const groupOf = (i: number) => {
          const index = shape.map((size, axis) => {
            const inner = shape.slice(axis + 1).reduce((product, each) => product * each, 1);
            return Math.floor(i / inner) % size;
          });
          return `${index[layout.indexOf('h')]}.${index[layout.indexOf('d')]}`;
        };
        const most = new Map<string, number>();
        own.forEach((value, i) => {
          most.set(groupOf(i), Math.max(most.get(groupOf(i)) ?? 0, Math.abs(value)));
        });
        // What is left over is the rounding of the scale and of the tensor's own type.
        const slack = { float32: 2 ** -22, float16: 2 ** -10, bfloat16: 2 ** -7 }[dtype];
        own.forEach((value, i) => {
          const step = most.get(groupOf(i))! / 127;
          expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(step / 2 + 127 * step * slack + 1e-6);
        });
      }),
      { numRuns: 200 },
    );
    const largest = tensorOf('float32', [1, 2], [3.4028234663852886e38, -3.4028234663852886e38], 'hd');
    expect(numbersOf(await throughBytes(largest, { cast: 'int8' })).every(Number.isFinite)).toBe(true);
  });

  it('says what cannot be stored', async () => {
    const fails = (tensor: KVTensor, encoding: KVEncoding, message: RegExp) =>
      expect(packed(tensor, encoding)).rejects.toThrow(
        expect.objectContaining({ name: InvalidRequest.name, message: expect.stringMatching(message) }),
      );
    const good = tensorOf('float32', [1, 2], [1, 2], 'hd');
    await fails({ ...good, dtype: '' }, {}, /^k\.dtype: /);
    await fails({ ...good, shape: [3] }, {}, /^k\.layout: must have one letter for each of 1 axes/);
    await fails({ dtype: 'float32', shape: [3], bytes: good.bytes }, {}, /^k\.shape: \[3\] of float32/);
    await fails({ ...good, layout: 'hh' }, {}, /^k\.layout: /);
    await fails({ ...good, layout: 'ht' }, { cast: 'int8' }, /^k\.layout: the cast int8 needs/);
    await fails({ dtype: 'q4', shape: [2], bytes: good.bytes }, { cast: 'float16' }, /^k\.cast: dtype q4/);
    await fails(tensorOf('float32', [1, 2], [1, Number.NaN], 'hd'), { cast: 'int8' }, /^k\.int8: .*NaN/);
  });

  it('is refused if its header claims what is not so, before any memory is taken', async () => {
    const good = { dtype: 'float32', shape: [1, 2], layout: 'hd', bytes: 8 };
    const of = (k: object, data = 16) => {
      const header = Buffer.from(JSON.stringify({ k, v: good }));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(header.byteLength);
      return unpackLayer(Buffer.concat([length, header, Buffer.alloc(data)]), MOST);
    };
    await expect(of(good)).resolves.toMatchObject({ k: { dtype: 'float32' } });
    const huge = 2 ** 53 - 1;
    const bombs: object[] = [
      { ...good, shape: [1, 3] },
      { ...good, layout: 'h' },
      { ...good, shape: [huge, huge, 0, huge], layout: undefined },
      { ...good, shape: [huge, 1, 0], layout: 'htd', cast: 'int8' },
      { ...good, cast: 'int8', shape: [2 ** 26, 2 ** 26] },
      { ...good, cast: 'int8', layout: 'ab' },
      { ...good, cast: 'float16' },
      { ...good, dtype: 'q4', cast: 'int8' },
      { ...good, compression: { name: 'lz4', bytes: huge, shuffle: 4 } },
      { ...good, shape: [1, 2 ** 40], compression: { name: 'zstd', bytes: 2 ** 42, shuffle: 4 } },
      { ...good, dtype: 'q4', compression: { name: 'zstd', bytes: 2 ** 42, shuffle: 1 } },
      { ...good, dtype: 'q4', compression: { name: 'lz4', bytes: 9, shuffle: 2 } },
      { ...good, compression: { name: 'gzip', bytes: 8, shuffle: 4 } },
      { ...good, more: 1 },
    ];
    for (const bomb of bombs) await expect(of(bomb), JSON.stringify(bomb)).rejects.toThrow(Corrupt);
  });

  it('is a layer or corrupt for any change of its bytes', async () => {
    const tensor = tensorOf(
      'float16',
      [2, 3, 4],
      Array.from({ length: 24 }, (_, at) => at / 7),
      'htd',
    );
    const casts: (KVCast | undefined)[] = [undefined, 'bfloat16', 'int8', 'float8e4m3fn'];
    const encodings = casts.flatMap((cast) => LOSSLESS.map(({ compression }) => ({ cast, compression })));
    const layers = await Promise.all(encodings.map((encoding) => packed(tensor, encoding)));
    const changes = fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...layers), changes, fc.nat(40), async (layer, changed, cut) => {
        const bytes = Buffer.from(layer.subarray(0, layer.length - (cut > 30 ? cut : 0)));
        for (const [at, value] of changed) bytes[at % bytes.length] = value;
        try {
          const { k, v } = await unpackLayer(bytes, MOST);
          expect(k.bytes.byteLength + v.bytes.byteLength).toBeLessThanOrEqual(MOST);
        } catch (error) {
          expect(error).toBeInstanceOf(Corrupt);
        }
      }),
      { numRuns: 1_500 },
    );
  });
});
