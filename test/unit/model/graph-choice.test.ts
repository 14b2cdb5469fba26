import { describe, expect, it } from 'vitest';
import { Refused } from '../../../src/errors.js';
import { chooseGraph, DTYPES, type GraphWish } from '../../../src/model/graph-choice.js';

const ALL = ['', '_fp16', '_bf16', '_quantized', '_int8', '_uint8', '_q4', '_q4f16', '_bnb4'].map(
  (end) => `onnx/model${end}.onnx`,
);
const choose = (paths: readonly string[], wish: Partial<GraphWish> = {}, config: Record<string, unknown> = {}) =>
  chooseGraph(paths, { dtype: 'auto', file: null, device: 'cpu', ...wish }, config, 'org/name');
const hints = (config: Record<string, unknown>) => ({ 'transformers.js_config': config });

describe('the choice of a graph', () => {
  it('finds each type by its name in transformers.js', () => {
    expect(DTYPES.map((dtype) => choose(ALL, { dtype }).path)).toEqual(ALL);
    expect(choose(['model_q4.onnx'], { dtype: 'q4' }).path).toBe('model_q4.onnx');
    expect(choose(['onnx/decoder_q4.onnx', ...ALL], { dtype: 'q4', file: 'decoder' }).path).toBe(
      'onnx/decoder_q4.onnx',
    );
  });

  it.each([
    ['cpu', ALL, 'onnx/model_q4.onnx'],
    ['cpu', ['onnx/model.onnx', 'onnx/model_fp16.onnx', 'onnx/model_quantized.onnx'], 'onnx/model.onnx'],
    ['cpu', ['onnx/model_quantized.onnx', 'onnx/model_fp16.onnx'], 'onnx/model_fp16.onnx'],
    ['cuda', ALL, 'onnx/model_fp16.onnx'],
    ['webgpu', ['onnx/model.onnx', 'onnx/model_q4.onnx', 'onnx/model_q4f16.onnx'], 'onnx/model_q4f16.onnx'],
    ['webgpu', ['model.onnx'], 'model.onnx'],
  ] as const)('is automatic on %s', (device, paths, path) => {
    const choice = choose(paths, { device });
    expect(choice.path).toBe(path);
    expect(choice.why).toMatch(paths.length === 1 ? /there is no other/ : new RegExp(`best for ${device} of`));
  });

  it('follows transformers.js_config, for the device first, where the graph is there', () => {
    const config = hints({ dtype: 'q4f16', device_config: { webgpu: { dtype: { model: 'fp32' } } } });
    expect(choose(ALL, {}, config)).toMatchObject({
      path: 'onnx/model_q4f16.onnx',
      why: expect.stringMatching(/transformers\.js_config/),
    });
    expect(choose(ALL, { device: 'webgpu' }, config).path).toBe('onnx/model.onnx');
    expect(choose(ALL, { dtype: 'fp16' }, config).path).toBe('onnx/model_fp16.onnx');
    expect(choose(['onnx/model.onnx'], {}, config).path).toBe('onnx/model.onnx');
    for (const odd of [7, null, { dtype: 'q99' }, { dtype: { other: 'q4' } }, { device_config: [] }]) {
      expect(choose(ALL, {}, hints(odd as Record<string, unknown>)).path).toBe('onnx/model_q4.onnx');
    }
  });

  it('takes a named file', () => {
    expect(choose(ALL, { file: 'onnx/model_q4.onnx' })).toEqual({
      path: 'onnx/model_q4.onnx',
      why: '--model-file onnx/model_q4.onnx was asked for',
    });
    expect(choose(ALL, { file: 'model_q4.onnx' }).path).toBe('onnx/model_q4.onnx');
    expect(choose(['cpu/int4/model.onnx'], { file: 'cpu/int4/model.onnx' }).path).toBe('cpu/int4/model.onnx');
  });

  it('takes a named graph with its type in the name', () => {
    const why = '--model-file model_q4 was asked for';
    for (const dtype of ['auto', 'q4'] as const)
      expect(choose(ALL, { file: 'model_q4', dtype })).toEqual({ path: 'onnx/model_q4.onnx', why });
    expect(choose(ALL, { file: 'model_q4f16' }).path).toBe('onnx/model_q4f16.onnx');
    for (const dtype of ['fp32', 'fp16'] as const)
      expect(() => choose(ALL, { file: 'model_q4', dtype })).toThrow(
        `--model-file model_q4 names a graph of type q4, and --dtype ${dtype} another one`,
      );
    // No graph has this name, so it is one without a type.
    expect(choose(['onnx/my_int8_q4.onnx'], { file: 'my_int8' })).toEqual({
      path: 'onnx/my_int8_q4.onnx',
      why: 'auto takes q4: there is no other',
    });
  });

  it('is refused with the flag and what is there', () => {
    const wrong = (paths: readonly string[], wish: Partial<GraphWish>) => {
      try {
        return choose(paths, wish).path;
      } catch (error) {
        expect(error).toBeInstanceOf(Refused);
        return (error as Error).message;
      }
    };
    expect(wrong(['onnx/model_q4.onnx', 'onnx/model.onnx'], { dtype: 'fp16' })).toBe(
      'cannot open org/name: model_fp16.onnx is missing, which --dtype fp16 names; set --dtype fp32|q4 or --model-file FILE: there are onnx/model.onnx, onnx/model_q4.onnx',
    );
    expect(wrong(['a/b.onnx'], {})).toMatch(
      /onnx\/model\.onnx is missing, and every other type of it; set --model-file FILE: there are a\/b\.onnx$/,
    );
    expect(wrong([], { file: 'x.onnx' })).toMatch(
      /x\.onnx is missing, which --model-file names; export the model to ONNX/,
    );
    expect(
      wrong(
        Array.from({ length: 40 }, (_, index) => `m${index}.onnx`),
        {},
      ),
    ).toMatch(/and 28 more$/);
  });
});
