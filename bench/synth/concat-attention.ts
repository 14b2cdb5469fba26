import { onnxNumber } from '../../src/ort/element-type.js';
import type { Network } from './network.js';

/**
 * Attention of standard ONNX operators, as in graphs that are not specific to one runtime.
 *
 * Concat joins past and new K/V, so past and present cannot share a buffer. Positions are an input, `position_ids`.
 */

/** Adds the shared constants, and the mask `[batch, 1, sequence, total]` of scores: 0 for visible keys, very negative for others. */
export function sharedByConcatLayers(net: Network): void {
  const { heads, kvHeads, headDim, dtype } = net.spec;
  const zero = net.integers('zero', 0n);
  const one = net.integers('one', 1n);
  net.integers('split_heads', [0n, 0n, -1n, BigInt(headDim)]);
  net.integers('join_heads', [0n, 0n, BigInt(heads * headDim)]);
  net.integers('group_axis', [2n]);
  net.integers('group_shape', [1n, 1n, BigInt(heads / kvHeads), 1n, 1n]);
  net.integers('ungroup', [0n, BigInt(heads), -1n, BigInt(headDim)]);

  const count = (input: string, name: string) =>
    net.node('Gather', [net.node('Shape', [input], `${name}_shape`), one], name, { attributes: { axis: 0n } });
  const total = count('attention_mask', 'total');
  const past = net.node('Sub', [total, count('input_ids', 'new')], 'past');
  const keys = net.node('Range', [zero, total, one], 'key_places');
  const queries = net.node(
    'Unsqueeze',
    [net.node('Range', [past, total, one], 'query_range'), net.integers('axis1', [1n])],
    'query_places',
  );
  const causal = net.node('LessOrEqual', [keys, queries], 'causal');
  const cast = (type: 'bool' | 'float16' | 'float32') => ({ attributes: { to: BigInt(onnxNumber(type)) } });
  const real = net.node(
    'Unsqueeze',
    [net.node('Cast', ['attention_mask'], 'real', cast('bool')), net.integers('axes12', [1n, 2n])],
    'real_keys',
  );
  const seen = net.node('And', [causal, real], 'seen');
  const values = ['mask_seen', 'mask_unseen'].map((name, i) =>
    net.node('Cast', [net.integers(`${name}64`, i === 0 ? 0n : -60_000n)], name, cast(dtype)),
  );
  net.node('Where', [seen, ...values], 'score_mask');
  net.node(
    'Cast',
    [
      net.node(
        'Sqrt',
        [net.node('Cast', [net.integers('head_dim', BigInt(headDim))], 'head_dim_float', cast('float32'))],
        'root',
      ),
    ],
    'score_divisor',
    cast(dtype),
  );
}

/** Adds one layer. Returns its output `[batch, sequence, heads x headDim]`. */
export function concatAttention(
  net: Network,
  name: string,
  [q, k, v]: readonly string[],
  past: readonly string[],
  present: readonly string[],
): string {
  const { heads, kvHeads } = net.spec;
  const rotated = (input: string, part: string, count: number) =>
    net.node('RotaryEmbedding', [input, 'position_ids', 'rotary.cos', 'rotary.sin'], `${name}.${part}_turned`, {
      domain: 'com.microsoft',
      attributes: { num_heads: BigInt(count) },
    });
  const split = (input: string, part: string) =>
    net.node(
      'Transpose',
      [net.node('Reshape', [input, 'split_heads'], `${name}.${part}_split`)],
      `${name}.${part}_heads`,
      {
        attributes: { perm: [0n, 2n, 1n, 3n] },
      },
    );
  const appended = (part: number, input: string) =>
    net.node('Concat', [past[part]!, input], present[part]!, { attributes: { axis: 2n } });
  /** Repeats each K/V head for each query head of its group. */
  const repeated = (input: string, part: string) => {
    const grouped = net.node(
      'Tile',
      [net.node('Unsqueeze', [input, 'group_axis'], `${name}.${part}_group`), 'group_shape'],
      `${name}.${part}_groups`,
    );
    return net.node('Reshape', [grouped, 'ungroup'], `${name}.${part}_repeated`);
  };
  const queries = split(rotated(q!, 'q', heads), 'q');
  const keys = repeated(appended(0, split(rotated(k!, 'k', kvHeads), 'k')), 'k');
  const values = repeated(appended(1, split(v!, 'v')), 'v');
  const keysAcross = net.node('Transpose', [keys], `${name}.k_across`, { attributes: { perm: [0n, 1n, 3n, 2n] } });
  const scores = net.node(
    'Div',
    [net.node('MatMul', [queries, keysAcross], `${name}.products`), 'score_divisor'],
    `${name}.scores`,
  );
  const masked = net.node('Add', [scores, 'score_mask'], `${name}.masked`);
  const shares = net.node('Softmax', [masked], `${name}.shares`, { attributes: { axis: -1n } });
  const summed = net.node('MatMul', [shares, values], `${name}.summed`);
  const back = net.node('Transpose', [summed], `${name}.back`, { attributes: { perm: [0n, 2n, 1n, 3n] } });
  return net.node('Reshape', [back, 'join_heads'], name);
}
