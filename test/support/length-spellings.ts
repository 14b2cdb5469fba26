import { OPSET } from '../../bench/synth/network.js';
import {
  ATTRIBUTE,
  FUNCTION,
  GRAPH,
  MODEL,
  NODE,
  type Node,
  nodeMessage,
  opsetMessage,
  tensorMessage,
  valueMessage,
} from '../../src/model/onnx/messages.js';
import { bytesField, intField, join } from '../../src/model/onnx/wire.js';

/** The ways in which a graph may choose its rotary tables by the length of a sequence. */

export const SPELLINGS = ['where', 'if', 'function', 'blend', 'index', 'maximum'] as const;
export type Spelling = (typeof SPELLINGS)[number];

const DOMAIN = 'example.length';
const GRAPH_ATTRIBUTE = 5;
const FLOAT = 1;

/**
 * Nodes that compute `long.cos_now` and `long.sin_now` of `long.totals`, which is the length as a list of one, of `long.border` and of two tables
 * each.
 * @param short the names of the tables of short sequences; those of long ones are `long.cos` and `long.sin`
 */
export function spelledChoice(
  spelling: Spelling,
  short: Readonly<Record<'cos' | 'sin', string>>,
): readonly Uint8Array[] {
  const parts = ['cos', 'sin'] as const;
  const each = (spell: (part: 'cos' | 'sin', names: Names) => readonly Uint8Array[]) =>
    parts.flatMap((part) => spell(part, { long: `long.${part}`, short: short[part], now: `long.${part}_now` }));
  const isLong = field({ op: 'Greater', inputs: ['long.totals', 'long.border'], outputs: ['long.is'] });
  switch (spelling) {
    case 'where':
      return [isLong, ...each((_, names) => [field(where('long.is', names))])];
    case 'if':
      return [isLong, ...squeezedCondition(), ...each((_, names) => [choice(names)])];
    case 'function':
      return each((_, { long, short: other, now }) => [called(long, other, now)]);
    case 'blend':
      return [isLong, castTo('long.is', 'long.share', FLOAT), ...each(blended)];
    case 'index':
      return [...tableIndex(), ...each(indexed)];
    case 'maximum':
      return [...excess(), ...each(blended)];
  }
}

interface Names {
  readonly long: string;
  readonly short: string;
  readonly now: string;
}

/** The functions that the nodes of a spelling call, as fields of a model. */
export function functionsOf(spelling: Spelling): Uint8Array {
  return spelling === 'function' ? CHOOSER : new Uint8Array(0);
}

function field(node: Node): Uint8Array {
  return bytesField(GRAPH.node, nodeMessage(node));
}

function where(condition: string, { long, short, now }: Names): Node {
  return { op: 'Where', inputs: [condition, long, short], outputs: [now] };
}

function castTo(from: string, to: string, type: number): Uint8Array {
  return field({ op: 'Cast', inputs: [from], outputs: [to], attributes: { to: BigInt(type) } });
}

/** Constants of one element. */
function number(name: string, value: bigint, dims: number[] = []): Uint8Array {
  const node = nodeMessage({ op: 'Constant', inputs: [], outputs: [name] });
  const tensor = tensorMessage({ name: '', type: 'int64', dims }, BigInt64Array.of(value));
  const attribute = [
    bytesField(ATTRIBUTE.name, 'value'),
    bytesField(ATTRIBUTE.tensor, tensor),
    intField(ATTRIBUTE.type, 4),
  ];
  return bytesField(GRAPH.node, join([node, bytesField(NODE.attribute, attribute)]));
}

function squeezedCondition(): readonly Uint8Array[] {
  return [field({ op: 'Squeeze', inputs: ['long.is'], outputs: ['long.if'] })];
}

/** An If whose branches pass on tables of the graph around it. */
function choice({ long, short, now }: Names): Uint8Array {
  const branch = (name: string, table: string) => {
    const out = `${now}.${name}`;
    const body = [
      field({ op: 'Identity', inputs: [table], outputs: [out] }),
      bytesField(GRAPH.name, out),
      bytesField(GRAPH.output, valueMessage(out, FLOAT, [null, null])),
    ];
    const parts = [
      bytesField(ATTRIBUTE.name, name),
      bytesField(ATTRIBUTE.graph, body),
      intField(ATTRIBUTE.type, GRAPH_ATTRIBUTE),
    ];
    return bytesField(NODE.attribute, parts);
  };
  const node = nodeMessage({ op: 'If', inputs: ['long.if'], outputs: [now] });
  return bytesField(GRAPH.node, join([node, branch('then_branch', long), branch('else_branch', short)]));
}

function called(long: string, short: string, now: string): Uint8Array {
  return field({ op: 'Chosen', domain: DOMAIN, inputs: ['long.totals', 'long.border', long, short], outputs: [now] });
}

/** A function that chooses a table, and the import of its domain. */
const CHOOSER = join([
  bytesField(MODEL.function, [
    bytesField(FUNCTION.name, 'Chosen'),
    ...['total', 'border', 'long', 'short'].map((name) => bytesField(FUNCTION.input, name)),
    bytesField(FUNCTION.output, 'now'),
    ...[
      { op: 'Greater', inputs: ['total', 'border'], outputs: ['is'] },
      { op: 'Where', inputs: ['is', 'long', 'short'], outputs: ['now'] },
    ].map((node) => bytesField(FUNCTION.node, nodeMessage(node))),
    bytesField(FUNCTION.opset, opsetMessage('', OPSET)),
    bytesField(FUNCTION.domain, DOMAIN),
  ]),
  bytesField(MODEL.opset, opsetMessage(DOMAIN, 1)),
]);

/** `short + share * (long - short)`. */
function blended(part: string, { long, short, now }: Names): readonly Uint8Array[] {
  return [
    field({ op: 'Sub', inputs: [long, short], outputs: [`${part}.difference`] }),
    field({ op: 'Mul', inputs: [`${part}.difference`, 'long.share'], outputs: [`${part}.shared`] }),
    field({ op: 'Add', inputs: [short, `${part}.shared`], outputs: [now] }),
  ];
}

/** `long.share` is 1 beyond the border: `min(max(total - border, 0), 1)`. */
function excess(): readonly Uint8Array[] {
  return [
    number('long.zero', 0n, [1]),
    number('long.one', 1n, [1]),
    field({ op: 'Sub', inputs: ['long.totals', 'long.border'], outputs: ['long.beyond'] }),
    field({ op: 'Max', inputs: ['long.beyond', 'long.zero'], outputs: ['long.excess'] }),
    field({ op: 'Min', inputs: ['long.excess', 'long.one'], outputs: ['long.which'] }),
    castTo('long.which', 'long.share', FLOAT),
  ];
}

/** `long.which` is `min((total - 1) / border, 1)`, in integers. */
function tableIndex(): readonly Uint8Array[] {
  return [
    number('long.one', 1n, [1]),
    field({ op: 'Sub', inputs: ['long.totals', 'long.one'], outputs: ['long.last'] }),
    field({ op: 'Div', inputs: ['long.last', 'long.border'], outputs: ['long.times'] }),
    field({ op: 'Min', inputs: ['long.times', 'long.one'], outputs: ['long.which1'] }),
    field({ op: 'Squeeze', inputs: ['long.which1'], outputs: ['long.which'] }),
    number('long.first_axis', 0n, [1]),
  ];
}

/** Picks one of two tables that are stacked. */
function indexed(part: string, { long, short, now }: Names): readonly Uint8Array[] {
  const stacked = [short, long].map((table, i) =>
    field({ op: 'Unsqueeze', inputs: [table, 'long.first_axis'], outputs: [`${part}.layer${i}`] }),
  );
  return [
    ...stacked,
    field({
      op: 'Concat',
      inputs: [`${part}.layer0`, `${part}.layer1`],
      outputs: [`${part}.both`],
      attributes: { axis: 0n },
    }),
    field({ op: 'Gather', inputs: [`${part}.both`, 'long.which'], outputs: [now] }),
  ];
}
