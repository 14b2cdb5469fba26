import { SHARP_ATTENTION, sharedByGroupQueryLayers } from '../synth/network.js';
import { normal, rotary } from '../synth/weights.js';
import { chosenTables } from './chosen-tables.js';
import { type Attended, joinedAttention, sharedByJoinedLayers } from './joined-attention.js';
import { convolved, linearlyAttended, sharedByStateLayers } from './state-layers.js';
import { layerHeads, layerMixer, type Twin } from './twin.js';
import { TwinNetwork } from './twin-network.js';

/** Builds the graph of a twin. Like exporters' graphs, it computes the logits of all positions. */

const THETA = 10_000;
/** Builds the graph of a decoder with the twin's traits. */
export function twinGraph(twin: Twin): TwinNetwork {
  const net = new TwinNetwork(twin);
  net.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  net.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const joined = twin.attention === 'concat';
  if (joined && !['alibi', 'counted'].includes(twin.positions.kind))
    net.input('position_ids', 'int64', ['batch_size', 'sequence_length']);
  for (const input of twin.otherInputs) otherInput(net, input);
  net.output('logits', twin.dtype, ['batch_size', 'sequence_length', twin.vocab + twin.paddedLogits]);
  rotaryTables(net);
  if (joined) sharedByJoinedLayers(net);
  else sharedByGroupQueryLayers(net);
  sharedByStateLayers(net);
  if (twin.positions.kind === 'longrope') chosenTables(net, twin.positions.borderTokens);
  let x = embedded(net);
  for (let layer = 0; layer < twin.layers; layer++) x = decoderLayer(net, layer, x);
  head(net, x);
  return net;
}

/** An input that the graph does not need. */
function otherInput(net: TwinNetwork, name: string): void {
  const { dtype, hidden } = net.spec;
  net.input(name, dtype, ['batch_size', hidden, 3]);
}

function rotaryTables(net: TwinNetwork): void {
  const { contextTokens, headDim, dtype } = net.spec;
  const { kind } = net.twin.positions;
  const dims = [contextTokens, headDim / 2];
  for (const part of ['cos', 'sin'] as const) {
    if (kind === 'rotary') net.weight(`rotary.${part}`, dims, rotary(Math[part], headDim, THETA, dtype));
  }
}

function embedded(net: TwinNetwork): string {
  const { vocab, hidden, contextTokens, seed, dtype } = net.spec;
  const { positions, paddedLogits } = net.twin;
  // A tied head would otherwise repeat the last token, whose embedding is most of the last hidden state.
  const deviation = net.twin.head === 'tied' ? 0.1 : 1;
  const rows = net.random('embed.weight', vocab + paddedLogits, hidden, deviation);
  const tokens = net.node('Gather', [rows, 'input_ids'], 'embed');
  if (positions.kind !== 'learned' && positions.kind !== 'counted') return tokens;
  const fill = normal({ seed, name: 'places.weight', deviation: deviation / 2, type: dtype });
  const places = net.weight('places.weight', [contextTokens, hidden], fill);
  return net.node('Add', [tokens, net.node('Gather', [places, positionsOf(net)], 'places')], 'embed_placed');
}

/** The positions of the new tokens: an input, or the numbers of tokens before them that the mask has. */
function positionsOf(net: TwinNetwork): string {
  if (net.twin.positions.kind !== 'counted') return 'position_ids';
  const counts = net.node('CumSum', ['attention_mask', 'one'], 'counts');
  const all = net.node('Sub', [net.node('Mul', [counts, 'attention_mask'], 'counts_seen'), 'one'], 'all_positions');
  const first = net.node('Unsqueeze', ['past', net.integers('axis0', [0n])], 'first_new');
  return net.node('Slice', [all, first, net.integers('last_new', [2n ** 63n - 1n]), 'axis1'], 'positions');
}

function decoderLayer(net: TwinNetwork, layer: number, x: string): string {
  const name = (part: string) => `layers.${layer}.${part}`;
  const normed = net.normalise(x, name('attention_norm'));
  const attention = mixed(net, layer, normed);
  if (net.twin.block === 'parallel') {
    const both = net.node('Add', [attention, feedForward(net, layer, normed)], name('both'));
    return net.node('Add', [x, both], name('out'));
  }
  const between = net.node('Add', [x, attention], name('attended'));
  const forward = feedForward(net, layer, net.normalise(between, name('ffn_norm')));
  return net.node('Add', [between, forward], name('out'));
}

function mixed(net: TwinNetwork, layer: number, normed: string): string {
  switch (layerMixer(net.twin, layer)) {
    case 'attention':
      return attended(net, layer, normed);
    case 'linear':
      return linearlyAttended(net, layer, normed);
    case 'convolution':
      return convolved(net, layer, normed, (past) => past);
    case 'forgetful convolution':
      return convolved(net, layer, normed, (past) => net.node('Sub', [past, past], `layers.${layer}.forgotten`));
  }
}

/** Attention and its output projection. */
function attended(net: TwinNetwork, layer: number, normed: string): string {
  const { hidden, heads, dtype } = net.spec;
  const { kvHeads, keyDim, valueDim } = layerHeads(net.twin, layer);
  const name = (part: string) => `layers.${layer}.${part}`;
  const names = (side: string) => ['key', 'value'].map((part) => `${side}.${layer}.${part}`) as [string, string];
  const [past, present] = [names('past_key_values'), names('present')];
  const type = net.twin.kvType === 'float' ? dtype : net.twin.kvType;
  for (const [i, size] of [keyDim, valueDim].entries()) {
    net.input(past[i]!, type, ['batch_size', kvHeads, 'past_sequence_length', size]);
    net.output(present[i]!, type, ['batch_size', kvHeads, 'total_sequence_length', size]);
  }
  const project = net.twin.norm === 'layer' ? net.projectBiased.bind(net) : net.project.bind(net);
  const qkv: Attended['qkv'] = [
    project(normed, name('q'), hidden, heads * keyDim, SHARP_ATTENTION),
    project(normed, name('k'), hidden, kvHeads * keyDim, SHARP_ATTENTION),
    project(normed, name('v'), hidden, kvHeads * valueDim),
  ];
  const attend = net.twin.attention === 'gqa' ? groupQueryAttention : joinedAttention;
  const attention = attend(net, name('attention'), { layer, qkv, past, present });
  return project(attention, name('o'), heads * valueDim, hidden);
}

function feedForward(net: TwinNetwork, layer: number, input: string): string {
  const { hidden, ffn } = net.spec;
  const name = (part: string) => `layers.${layer}.${part}`;
  if (net.twin.ffnKind === 'gelu') {
    const up = net.projectBiased(input, name('up'), hidden, ffn);
    const bent = net.node('Gelu', [up], name('gelu'), { domain: 'com.microsoft' });
    return net.projectBiased(bent, name('down'), ffn, hidden);
  }
  const gate = net.project(input, name('gate'), hidden, ffn);
  const up = net.project(input, name('up'), hidden, ffn);
  const silu = net.node('Mul', [gate, net.node('Sigmoid', [gate], name('sigmoid'))], name('silu'));
  return net.project(net.node('Mul', [silu, up], name('ffn')), name('down'), ffn, hidden);
}

function groupQueryAttention(net: TwinNetwork, name: string, { layer, qkv, past, present }: Attended): string {
  const { heads, headDim } = net.spec;
  const { windowTokens, scoreCap } = net.twin;
  const { kvHeads } = layerHeads(net.twin, layer);
  const normed = (input: string, part: string, count: number) => {
    if (!net.twin.normalisedHeads) return input;
    const split = net.heads(input, `${name}.${part}_split`, count, headDim);
    const shape = net.integers(`${name}.${part}_flat`, [0n, 0n, BigInt(count * headDim)]);
    return net.node('Reshape', [net.normaliseLast(split, `${name}.${part}_norm`, headDim), shape], `${name}.${part}`);
  };
  const inputs = [normed(qkv[0], 'q', heads), normed(qkv[1], 'k', kvHeads), qkv[2], ...past];
  const attributes = {
    ...{ num_heads: BigInt(heads), kv_num_heads: BigInt(kvHeads), do_rotary: 1n, scale: headDim ** -0.5 },
    ...(windowTokens > 0 && layer % 2 === 0 ? { local_window_size: BigInt(windowTokens) } : {}),
    ...(scoreCap > 0 ? { softcap: scoreCap } : {}),
  };
  return net.node(
    'GroupQueryAttention',
    [...inputs, 'seqlens_k', 'total', 'rotary.cos', 'rotary.sin'],
    [name, ...present],
    { domain: 'com.microsoft', attributes },
  );
}

function head(net: TwinNetwork, x: string): void {
  const { hidden, vocab } = net.spec;
  const { head: kind, logitCap, paddedLogits } = net.twin;
  const normed = net.normalise(x, 'norm');
  const columns = vocab + paddedLogits;
  const name = logitCap > 0 ? 'head' : 'logits';
  if (paddedLogits > 0) net.node('MatMul', [normed, paddedHead(net, columns)], name);
  else if (kind === 'own') net.project(normed, name, hidden, columns);
  else {
    const weight = net.node('Transpose', ['embed.weight'], 'head.weight', { attributes: { perm: [1n, 0n] } });
    net.node('MatMul', [normed, weight], name);
  }
  if (logitCap > 0) net.capped('head', 'logits', logitCap);
}

/** The weights of a head whose logits beyond the vocabulary are 0. */
function paddedHead(net: TwinNetwork, columns: number): string {
  const { hidden, vocab, seed, dtype } = net.spec;
  const fill = normal({ seed, name: 'head.weight', deviation: 1 / Math.sqrt(hidden), type: dtype });
  return net.weight('head.weight', [hidden, columns], (target, first) => {
    fill(target, first);
    for (let i = 0; i < target.length; i++) if ((first + i) % columns >= vocab) target[i] = 0;
  });
}
