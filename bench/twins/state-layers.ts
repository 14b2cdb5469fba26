import { stateNames } from './twin.js';
import type { TwinNetwork } from './twin-network.js';

/** Layers that keep a state of constant size instead of K/V, as hybrid models have in addition to attention. */

/** The columns of a convolution's state, and of its kernel. */
const KERNEL = 3;

/** Adds what all layers with states share: which of the new tokens a new token sees. */
export function sharedByStateLayers(net: TwinNetwork): void {
  if (net.twin.mixers?.includes('linear') !== true) return;
  const index = (name: string) => net.integers(`state.${name}`, 1n);
  const shape = net.node('Shape', ['input_ids'], 'state.ids_shape');
  const count = net.node('Gather', [shape, index('tokens_axis')], 'state.tokens', { attributes: { axis: 0n } });
  const places = net.node('Range', [net.integers('state.zero', 0n), count, index('step')], 'state.places');
  const rows = net.node('Unsqueeze', [places, net.integers('state.column_axis', [1n])], 'state.rows');
  net.cast(net.node('LessOrEqual', [places, rows], 'state.sees'), 'state.seen', net.spec.dtype);
}

/**
 * A gated short convolution over tokens, as in LFM2 (https://arxiv.org/abs/2511.23404). Its state `[batch, hidden, 3]` is the last three columns
 * of its input. Returns `[batch, tokens, hidden]`.
 * @param from gives the tensor to which the new tokens are appended, from the state
 */
export function convolved(net: TwinNetwork, layer: number, input: string, from: (past: string) => string): string {
  const { hidden, dtype } = net.spec;
  const name = (part: string) => `layers.${layer}.conv.${part}`;
  const [past, present] = stateNames(net.twin, layer, 'conv');
  net.input(past, dtype, ['batch_size', hidden, KERNEL]);
  net.output(present, dtype, ['batch_size', hidden, KERNEL]);
  const gate = (part: string) => net.project(input, name(part), hidden, hidden);
  const gated = net.node('Mul', [gate('before'), gate('values')], name('gated'));
  const across = net.node('Transpose', [gated], name('across'), { attributes: { perm: [0n, 2n, 1n] } });
  const joined = net.node('Concat', [from(past), across], name('joined'), { attributes: { axis: 2n } });
  const end = net.integers(name('end'), [2n ** 63n - 1n]);
  const axis = net.integers(name('axis'), [2n]);
  net.node('Slice', [joined, net.integers(name('last'), [-BigInt(KERNEL)]), end, axis], present);
  const window = net.node('Slice', [joined, net.integers(name('second'), [1n]), end, axis], name('window'));
  const kernel = net.randomTensor(name('kernel'), [hidden, 1, KERNEL], 0.6);
  const made = net.node('Conv', [window, kernel], name('made'), { attributes: { group: BigInt(hidden) } });
  const back = net.node('Transpose', [made], name('back'), { attributes: { perm: [0n, 2n, 1n] } });
  return net.project(net.node('Mul', [back, gate('after')], name('out')), name('o'), hidden, hidden);
}

/**
 * Linear attention without decay (https://arxiv.org/abs/2006.16236). Its state `[batch, heads, size, size]` is the sum of the outer products of keys
 * and values. Returns `[batch, tokens, hidden]`.
 */
export function linearlyAttended(net: TwinNetwork, layer: number, input: string): string {
  const { hidden, heads, headDim, dtype } = net.spec;
  const name = (part: string) => `layers.${layer}.linear.${part}`;
  const [past, present] = stateNames(net.twin, layer, 'recurrent');
  const dims = ['batch_size', heads, headDim, headDim];
  net.input(past, dtype, dims);
  net.output(present, dtype, dims);
  const width = heads * headDim;
  const [q, k, v] = ['q', 'k', 'v'].map((part) => {
    const split = net.heads(net.project(input, name(part), hidden, width), name(`${part}_split`), heads, headDim);
    return net.node('Transpose', [split], name(`${part}_heads`), { attributes: { perm: [0n, 2n, 1n, 3n] } });
  }) as [string, string, string];
  const across = net.node('Transpose', [k], name('across'), { attributes: { perm: [0n, 1n, 3n, 2n] } });
  const products = net.node('MatMul', [q, across], name('products'));
  const near = net.node('MatMul', [net.node('Mul', [products, 'state.seen'], name('seen')), v], name('near'));
  const far = net.node('MatMul', [q, past], name('far'));
  net.node('Add', [past, net.node('MatMul', [across, v], name('added'))], present);
  const summed = net.normaliseLast(net.node('Add', [near, far], name('summed')), name('norm'), headDim);
  const back = net.node('Transpose', [summed], name('back'), { attributes: { perm: [0n, 2n, 1n, 3n] } });
  const flat = net.node('Reshape', [back, net.integers(name('flat_shape'), [0n, 0n, BigInt(width)])], name('flat'));
  return net.project(flat, name('o'), width, hidden);
}
