import { layerHeads } from './twin.js';
import type { TwinNetwork } from './twin-network.js';

/** Attention in optimum's style: standard operators, with past and new K/V joined by Concat. */

/** The queries, keys and values of a layer, each `[batch, tokens, heads x size]`, and the names of its K and V. */
export interface Attended {
  readonly layer: number;
  readonly qkv: readonly [string, string, string];
  readonly past: readonly [string, string];
  readonly present: readonly [string, string];
}

const BYTE_SCALE = 0.04;

/** Adds what all layers share: masks of scores `[batch, 1, tokens, total]`, and the rotary factors of the positions. */
export function sharedByJoinedLayers(net: TwinNetwork): void {
  const zero = net.integers('zero', 0n);
  const one = net.integers('one', 1n);
  net.integers('axis1', [1n]);
  const length = (input: string, name: string) =>
    net.node('Gather', [net.node('Shape', [input], `${name}_shape`), one], name, { attributes: { axis: 0n } });
  const total = length('attention_mask', 'total');
  const past = net.node('Sub', [total, length('input_ids', 'new')], 'past');
  const keys = net.node('Range', [zero, total, one], 'key_places');
  const queries = net.node(
    'Unsqueeze',
    [net.node('Range', [past, total, one], 'query_range'), 'axis1'],
    'query_places',
  );
  const real = net.node(
    'Unsqueeze',
    [net.cast('attention_mask', 'real', 'bool'), net.integers('axes12', [1n, 2n])],
    'real_keys',
  );
  const seen = net.node('And', [net.node('LessOrEqual', [keys, queries], 'causal'), real], 'seen');
  const scores = [net.scalar('mask_seen', 0), net.scalar('mask_unseen', -60_000)];
  net.node('Where', [seen, ...scores], 'mask.all');
  const { windowTokens, positions } = net.twin;
  if (windowTokens > 0) {
    const first = net.node('Sub', [queries, net.integers('window', BigInt(windowTokens))], 'window_before');
    const near = net.node('And', [seen, net.node('Greater', [keys, first], 'near')], 'seen_near');
    net.node('Where', [near, ...scores], 'mask.window');
  }
  net.scalar('score_scale', net.spec.headDim ** -0.5);
  if (positions.kind === 'alibi') addSlopes(net, keys);
  else if (positions.kind === 'rotary') addRotaryFactors(net);
}

function addSlopes(net: TwinNetwork, keys: string): void {
  const { heads, dtype } = net.spec;
  const slopes = net.random('alibi.slopes', heads, 1, 0.05);
  const column = net.node('Unsqueeze', [slopes, 'axis1'], 'alibi.column');
  net.node('Mul', [column, net.cast(keys, 'alibi.places', dtype)], 'alibi');
}

/** Cosines and sines of the new tokens' positions `[batch, 1, tokens, size]`, for both halves of a head alike. */
function addRotaryFactors(net: TwinNetwork): void {
  net.integers('half', [BigInt(net.spec.headDim / 2)]);
  net.integers('start', [0n]);
  net.integers('end', [2n ** 63n - 1n]);
  net.integers('axis3', [3n]);
  for (const part of ['cos', 'sin']) {
    const rows = net.node('Gather', [`rotary.${part}`, 'position_ids'], `${part}.rows`, { attributes: { axis: 0n } });
    const both = net.node('Concat', [rows, rows], `${part}.both`, { attributes: { axis: -1n } });
    net.node('Unsqueeze', [both, 'axis1'], part);
  }
}

/** Adds one layer. Returns its output `[batch, tokens, heads x size]`. */
export function joinedAttention(net: TwinNetwork, name: string, { layer, qkv, past, present }: Attended): string {
  const { heads } = net.spec;
  const { kvHeads, keyDim, valueDim } = layerHeads(net.twin, layer);
  const queries = placed(net, inHeads(net, qkv[0], `${name}.q`, heads, keyDim));
  const newKeys = placed(net, inHeads(net, qkv[1], `${name}.k`, kvHeads, keyDim));
  const newValues = inHeads(net, qkv[2], `${name}.v`, kvHeads, valueDim, false);
  const keys = repeated(net, appended(net, past[0], newKeys, present[0]), `${name}.keys`, kvHeads, keyDim);
  const values = repeated(net, appended(net, past[1], newValues, present[1]), `${name}.values`, kvHeads, valueDim);
  const across = net.node('Transpose', [keys], `${name}.across`, { attributes: { perm: [0n, 1n, 3n, 2n] } });
  const products = net.node('MatMul', [queries, across], `${name}.products`);
  const masked = net.node('Add', [scored(net, name, products), maskOf(net, layer)], `${name}.masked`);
  const shares = net.node('Softmax', [masked], `${name}.shares`, { attributes: { axis: -1n } });
  const summed = net.node('MatMul', [shares, values], `${name}.summed`);
  const back = net.node('Transpose', [summed], `${name}.back`, { attributes: { perm: [0n, 2n, 1n, 3n] } });
  return net.node('Reshape', [back, net.integers(`${name}.joined`, [0n, 0n, BigInt(heads * valueDim)])], name);
}

/** `[batch, heads, tokens, size]`, with each head normalised if the twin has it so. */
function inHeads(net: TwinNetwork, input: string, name: string, heads: number, size: number, isNormed = true): string {
  const split = net.heads(input, `${name}_split`, heads, size);
  const normed = net.twin.normalisedHeads && isNormed ? net.normaliseLast(split, `${name}_norm`, size) : split;
  return net.node('Transpose', [normed], `${name}_heads`, { attributes: { perm: [0n, 2n, 1n, 3n] } });
}

/** Turns queries or keys by their positions: `x cos + (-second half, first half) sin`. */
function placed(net: TwinNetwork, input: string): string {
  if (net.twin.positions.kind !== 'rotary') return input;
  const part = (from: string, to: string, name: string) =>
    net.node('Slice', [input, from, to, 'axis3'], `${input}.${name}`);
  const negated = net.node('Neg', [part('half', 'end', 'second')], `${input}.negated`);
  const swapped = net.node('Concat', [negated, part('start', 'half', 'first')], `${input}.swapped`, {
    attributes: { axis: -1n },
  });
  const terms = [
    net.node('Mul', [input, 'cos'], `${input}.by_cos`),
    net.node('Mul', [swapped, 'sin'], `${input}.by_sin`),
  ];
  return net.node('Add', terms, `${input}.turned`);
}

/** Joins past and new K or V to the layer's output. Returns it in the model's type. */
function appended(net: TwinNetwork, past: string, fresh: string, present: string): string {
  const attributes = { axis: 2n };
  switch (net.twin.kvType) {
    case 'float':
      return net.node('Concat', [past, fresh], present, { attributes });
    case 'int8':
    case 'uint8':
      return appendedCodes(net, past, fresh, present, net.twin.kvType);
    // Concat takes no float8. Widened, rounded numbers stay as they are.
    case 'float8e4m3fn':
    case 'float8e5m2': {
      const rounded = net.cast(fresh, `${present}.rounded`, net.twin.kvType);
      const parts = [past, rounded].map((part, i) => net.cast(part, `${present}.wide${i}`, net.spec.dtype));
      const joined = net.node('Concat', parts, `${present}.floats`, { attributes });
      net.cast(joined, present, net.twin.kvType);
      return joined;
    }
  }
}

/** Joins codes of a byte, whose scale is a constant of the graph. */
function appendedCodes(net: TwinNetwork, past: string, fresh: string, present: string, type: 'int8' | 'uint8'): string {
  const scale = net.scalar(`${present}.scale`, BYTE_SCALE);
  const zero = net.cast(net.integers(`${present}.zero64`, type === 'int8' ? 0n : 128n), `${present}.zero`, type);
  const codes = net.node('QuantizeLinear', [fresh, scale, zero], `${present}.codes`);
  net.node('Concat', [past, codes], present, { attributes: { axis: 2n } });
  return net.node('DequantizeLinear', [present, scale, zero], `${present}.floats`);
}

/** Repeats each K/V head for each query head of its group. */
function repeated(net: TwinNetwork, input: string, name: string, kvHeads: number, size: number): string {
  const { heads } = net.spec;
  if (heads === kvHeads) return input;
  const shape = net.integers(`${name}.group`, [1n, 1n, BigInt(heads / kvHeads), 1n, 1n]);
  const grouped = net.node('Unsqueeze', [input, net.integers(`${name}.axis`, [2n])], `${name}.grouped`);
  const tiled = net.node('Tile', [grouped, shape], `${name}.tiled`);
  return net.node('Reshape', [tiled, net.integers(`${name}.heads`, [0n, BigInt(heads), -1n, BigInt(size)])], name);
}

function scored(net: TwinNetwork, name: string, products: string): string {
  const scaled = net.node('Mul', [products, 'score_scale'], `${name}.scores`);
  if (net.twin.positions.kind === 'alibi') return net.node('Add', [scaled, 'alibi'], `${name}.sloped`);
  return net.twin.scoreCap > 0 ? net.capped(scaled, `${name}.capped`, net.twin.scoreCap) : scaled;
}

function maskOf({ twin }: TwinNetwork, layer: number): string {
  return twin.windowTokens > 0 && layer % 2 === 0 ? 'mask.window' : 'mask.all';
}
