import { type ElementType, onnxNumber } from '../../src/ort/element-type.js';
import { Network, OPSET, RMS_NORM_EPSILON } from '../synth/network.js';
import { constant, EVEN_DEVIATION, evenBytes, normal } from '../synth/weights.js';
import type { Twin } from './twin.js';

/** The parts shared by the graphs of all families. */

const NBITS_BLOCK = 32;
/** Zero points of unsigned weights. */
const ZERO_BYTE = 128;

/** A graph of a twin under construction. */
export class TwinNetwork extends Network {
  constructor(readonly twin: Twin) {
    // Cast takes float8 from operator set 19 on.
    super(twin, twin.kvType.startsWith('float8') ? 19 : OPSET);
  }

  /** Multiplies `[.., rows]` by random weights, in the twin's quantization, that scale the deviation of the input by `gain`. */
  override project(input: string, name: string, rows: number, columns: number, gain = 1): string {
    const deviation = gain / Math.sqrt(rows);
    if (this.twin.weights === 'q4') return this.projectBits(input, name, rows, columns, deviation);
    if (this.twin.weights === 'q8') return this.projectDynamically(input, name, rows, columns, deviation);
    return super.project(input, name, rows, columns, gain);
  }

  private projectBits(input: string, name: string, rows: number, columns: number, deviation: number): string {
    const { seed, dtype } = this.spec;
    const groups = Math.ceil(rows / NBITS_BLOCK);
    const codes = this.weight(
      `${name}.weight_q4`,
      [columns, groups, NBITS_BLOCK / 2],
      evenBytes({ seed, name }),
      'uint8',
    );
    const scales = this.weight(`${name}.scales`, [columns * groups], constant(deviation / EVEN_DEVIATION.half, dtype));
    return this.node('MatMulNBits', [input, codes, scales], name, {
      domain: 'com.microsoft',
      attributes: { K: BigInt(rows), N: BigInt(columns), bits: 4n, block_size: BigInt(NBITS_BLOCK) },
    });
  }

  private projectDynamically(input: string, name: string, rows: number, columns: number, deviation: number): string {
    const { seed } = this.spec;
    const [codes, scale, zero] = ['codes', 'scale', 'zero'].map((part) => `${name}.${part}`) as [
      string,
      string,
      string,
    ];
    this.node('DynamicQuantizeLinear', [input], [codes, scale, zero]);
    const weight = this.weight(`${name}.weight_q8`, [rows, columns], evenBytes({ seed, name }), 'uint8');
    const weightZero = this.weight(`${name}.weight_zero`, [], (target) => target.fill(ZERO_BYTE), 'uint8');
    const sums = this.node('MatMulInteger', [codes, weight, zero, weightZero], `${name}.sums`);
    const weightScale = this.weight(`${name}.weight_scale`, [], constant(deviation / EVEN_DEVIATION.byte, 'float32'));
    const both = this.node('Mul', [scale, weightScale], `${name}.scales`);
    return this.node('Mul', [this.cast(sums, `${name}.floats`, 'float32'), both], name);
  }

  /** The same with a bias, as families of the time of GPT-2 have it. */
  projectBiased(input: string, name: string, rows: number, columns: number, gain = 1): string {
    const { seed, dtype } = this.spec;
    const bias = this.weight(
      `${name}.bias`,
      [columns],
      normal({ seed, name: `${name}.bias`, deviation: 0.02, type: dtype }),
    );
    return this.node('Add', [this.project(input, `${name}.product`, rows, columns, gain), bias], name);
  }

  override normalise(input: string, name: string): string {
    return this.normaliseLast(input, name, this.spec.hidden);
  }

  /** Normalises the last axis, of `size` elements, in the twin's way. */
  normaliseLast(input: string, name: string, size: number): string {
    const { dtype } = this.spec;
    const weight = this.weight(`${name}.weight`, [size], constant(1, dtype));
    const attributes = { epsilon: RMS_NORM_EPSILON, axis: -1n };
    if (this.twin.norm === 'rms')
      return this.node('SimplifiedLayerNormalization', [input, weight], name, { attributes });
    const bias = this.weight(`${name}.bias`, [size], constant(0, dtype));
    return this.node('LayerNormalization', [input, weight, bias], name, { attributes });
  }

  /** `cap x tanh(input / cap)`. */
  capped(input: string, name: string, cap: number): string {
    const bound = this.scalar(`${name}.cap`, cap);
    const small = this.node('Tanh', [this.node('Div', [input, bound], `${name}.divided`)], `${name}.tanh`);
    return this.node('Mul', [small, bound], name);
  }

  /** Random weights of the model's type. */
  randomTensor(name: string, dims: readonly number[], deviation: number): string {
    const { seed, dtype } = this.spec;
    return this.weight(name, dims, normal({ seed, name, deviation, type: dtype }));
  }

  /** A constant of the model's type. */
  scalar(name: string, value: number): string {
    return this.weight(name, [], constant(value, this.spec.dtype));
  }

  cast(input: string, name: string, type: ElementType): string {
    return this.node('Cast', [input], name, { attributes: { to: BigInt(onnxNumber(type)) } });
  }

  /** Splits the heads of `[batch, tokens, heads x size]`, each `size` long, and returns `[batch, tokens, heads, size]`. */
  heads(input: string, name: string, heads: number, size: number): string {
    return this.node('Reshape', [input, this.integers(`${name}.shape`, [0n, 0n, BigInt(heads), BigInt(size)])], name);
  }
}
