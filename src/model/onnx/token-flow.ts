import type { FlatGraph, FlatNode } from './flat-nodes.js';
import type { GraphNode, Initializer } from './graph.js';
import { type Axes, exemptInputs, isComparison, isLinear, isReduction, mixesTokens } from './operators.js';

/** Follows lengths and positions through a graph, to find numbers of tokens that depend on other tokens than those before them. */

/** Numbers of tokens of the whole sequence. */
interface Length {
  readonly kind: 'length';
  /** The operator by which they are no longer a linear function of the length. */
  readonly by: string | null;
  /** The sum of the constants added to a number of tokens; null after any other operation. */
  readonly plus: number | null;
  /** For the shape of a tensor, whose elements are not told apart yet. */
  readonly shapeOf: 'tokens' | 'content' | null;
}

/** Something for each token, such as its position or whether it is seen. */
interface Place {
  readonly kind: 'place';
  readonly by: string | null;
  /** Positions and masks themselves. */
  readonly plain: boolean;
  /** The model's inputs `[batch, tokens]`. */
  readonly tokens: boolean;
}

/** Numbers that are computed from token ids or K/V. */
interface Content {
  readonly kind: 'content';
  readonly tokens: boolean;
  /** Whether there is a single axis. */
  readonly flat: boolean;
}

/** The source from which a tensor's elements are computed. */
type Origin = { readonly kind: 'constant' } | Length | Place | Content;

const CONSTANT: Origin = { kind: 'constant' };
const CONTENT: Content = { kind: 'content', tokens: false, flat: false };
const POSITIONS: Place = { kind: 'place', by: null, plain: true, tokens: false };

function length(by: string | null = null, plus: number | null = null): Length {
  return { kind: 'length', by, plus, shapeOf: null };
}

function place(by: string | null = null): Place {
  return { kind: 'place', by, plain: false, tokens: false };
}

/** The computations of a graph that depend on more than the tokens before a token, in words; null for none. */
export interface TokenFlow {
  /** A computation with the length of the sequence that is not linear, and that enters K/V or logits. */
  readonly byLength: string | null;
  /** A computation over all tokens of a run. */
  readonly byRun: string | null;
}

/**
 * Follows the lengths and positions of a graph. Lengths that are shapes, bounds and positions are as in any decoder. One that is compared,
 * rounded, bounded or raised to a power, and then enters numbers that tokens have, makes these numbers depend on the length.
 * @param told nodes whose results do not count, because their lengths are inputs
 */
export function tokenFlow({ nodes, constants }: FlatGraph, told: ReadonlySet<GraphNode>): TokenFlow {
  const flow = new Flow(constants);
  for (const node of nodes) flow.pass(node, node.own !== null && told.has(node.own));
  return flow;
}

class Flow implements TokenFlow {
  byLength: string | null = null;
  byRun: string | null = null;
  private readonly origins = new Map<string, Origin>();

  constructor(private readonly constants: ReadonlyMap<string, Initializer>) {}

  pass(node: FlatNode, isTold: boolean): void {
    const origin = isTold ? CONSTANT : this.result(node);
    for (const output of node.outputs) if (output !== '') this.origins.set(output, origin);
  }

  private originOf(name = ''): Origin {
    const known = this.origins.get(name);
    if (known !== undefined) return known;
    if (name === 'attention_mask' || name === 'position_ids') return { ...POSITIONS, tokens: true };
    if (name === 'input_ids') return { ...CONTENT, tokens: true };
    return name.startsWith('past_key_values.') ? CONTENT : CONSTANT;
  }

  private constant(name = ''): Initializer | null {
    return this.constants.get(name) ?? null;
  }

  private result(node: FlatNode): Origin {
    const { opType, inputs } = node;
    const first = this.originOf(inputs[0]);
    if (opType === 'Shape') return this.shape(node, first);
    if (opType === 'Size') return first.kind === 'content' || first.kind === 'place' ? length() : CONSTANT;
    if (opType === 'Range') return this.range(inputs);
    if (opType === 'NonZero' && first.kind !== 'content') return POSITIONS;
    if (opType === 'CumSum' && first.kind !== 'content') return POSITIONS;
    if (opType === 'Gather') return this.gathered(node, first);
    if (opType === 'Slice') return this.sliced(node, first);
    if (isReduction(opType)) return this.reduced(node, first);
    if (isComparison(opType)) return this.compared(node);
    if (opType === 'Where' || opType === 'If') return this.chosen(node, first);
    return this.joined(node);
  }

  private shape({ integers }: FlatNode, of: Origin): Origin {
    if (of.kind === 'constant' || of.kind === 'length') return CONSTANT;
    const whole: Length = { ...length(), shapeOf: of.tokens || of.kind === 'place' ? 'tokens' : 'content' };
    const start = integers.get('start')?.[0] ?? 0;
    const end = integers.get('end')?.[0];
    return end === start + 1 || (start === -1 && end === undefined) ? dimension(whole, start) : whole;
  }

  private range(inputs: readonly string[]): Origin {
    const step = this.originOf(inputs[2]);
    return step.kind === 'length' ? { ...POSITIONS, by: step.by } : POSITIONS;
  }

  private gathered(node: FlatNode, data: Origin): Origin {
    const index = this.originOf(node.inputs[1]);
    const scalar = this.constant(node.inputs[1])?.scalar ?? null;
    if (data.kind === 'length') return scalar === null ? joinOf(data, index) : dimension(data, scalar);
    if (data.kind === 'place') {
      const axis = node.integers.get('axis')?.[0] ?? 0;
      // The first row of [batch, tokens] has all tokens; anything else that is picked is the same for all of them.
      return data.plain && scalar !== null && !(data.tokens && axis === 0) ? length(data.by, 0) : data;
    }
    if (data.kind === 'constant' && index.kind === 'length') return length(index.by ?? shown(node));
    if (data.kind === 'constant' && index.kind !== 'constant')
      return index.kind === 'place' ? place(index.by) : CONTENT;
    return this.joined(node);
  }

  private sliced(node: FlatNode, data: Origin): Origin {
    const { inputs, integers } = node;
    const start = this.constant(inputs[1])?.scalar ?? integers.get('starts')?.[0] ?? null;
    const end = this.constant(inputs[2])?.scalar ?? integers.get('ends')?.[0] ?? null;
    if (data.kind === 'length') {
      const isOne = start !== null && (start === -1 || (end !== null && end - start === 1));
      return isOne ? dimension(data, start) : { ...data, shapeOf: null };
    }
    if (data.kind === 'place' && data.plain && start === -1) return length(data.by, 0);
    if (data.kind !== 'constant') return data;
    const bounds = inputs.slice(1).map((name) => this.originOf(name));
    const bent = bounds.find((bound) => bound.kind === 'length' && bound.by !== null);
    if (bent?.kind === 'length') return length(bent.by);
    return bounds.some(({ kind }) => kind === 'length') ? place() : CONSTANT;
  }

  private reduced(node: FlatNode, data: Origin): Origin {
    const axes = this.axes(node);
    switch (data.kind) {
      case 'constant':
        return CONSTANT;
      case 'length':
        return length(data.by ?? (node.opType === 'ReduceProd' ? null : shown(node)));
      case 'place':
        // A row of a mask belongs to one token.
        if (!data.plain && Array.isArray(axes) && axes.every((axis) => axis === -1 || axis === 3))
          return place(data.by);
        return length(data.by, node.opType === 'ReduceMax' ? -1 : 0);
      case 'content':
        if (mixesTokens(node.opType, axes, data.flat))
          this.byRun ??= `${shown(node)} is computed over all tokens of a run`;
        return CONTENT;
    }
  }

  private axes({ inputs, integers }: FlatNode): Axes {
    const stated = integers.get('axes') ?? integers.get('axis');
    if (stated !== undefined) return stated;
    if (inputs.length < 2 || inputs[1] === '') return 'all';
    const given = this.constant(inputs[1]);
    if (given?.integers) return given.integers;
    return given?.scalar == null ? 'unknown' : [given.scalar];
  }

  private compared(node: FlatNode): Origin {
    const origins = node.inputs.map((name) => this.originOf(name));
    if (origins.some(({ kind }) => kind === 'content')) return CONTENT;
    if (origins.some(({ kind }) => kind === 'place')) return place();
    const counted = origins.find((origin) => origin.kind === 'length');
    if (counted?.kind !== 'length') return CONSTANT;
    const other = node.inputs.map((name) => this.constant(name)?.scalar ?? null).find((scalar) => scalar !== null);
    // Whether there is a token at all, or more than one, is asked for other reasons than rotary tables; the trial runs both.
    if (counted.plus !== null && other !== undefined && other! - counted.plus <= 1) return CONSTANT;
    return length(counted.by ?? shown(node));
  }

  private chosen(node: FlatNode, condition: Origin): Origin {
    const choices = node.inputs.slice(1).map((name) => this.originOf(name));
    if (condition.kind !== 'length') return this.joined(node);
    const by = condition.by ?? shown(node);
    if (choices.some(({ kind }) => kind === 'content')) {
      this.byLength ??= `${shown(node)} chooses by the length of the sequence`;
      return CONTENT;
    }
    return choices.some(({ kind }) => kind === 'place') ? place(by) : length(by);
  }

  /** The result of an operator that combines its inputs element by element, or that is not known. */
  private joined(node: FlatNode): Origin {
    const { opType, inputs } = node;
    const exempt = exemptInputs(opType);
    const origins = inputs.map((name) => this.originOf(name)).filter((_, i) => !exempt.includes(i));
    const bent = origins.map((origin) => ('by' in origin ? origin.by : null)).find((by) => by !== null) ?? null;
    if (origins.some(({ kind }) => kind === 'content')) {
      if (bent !== null)
        this.byLength ??= `${shown(node)} computes with ${bent}, which depends on the length of the sequence`;
      return { ...CONTENT, flat: opType === 'Reshape' && this.constant(inputs[1])?.dims[0] === 1 };
    }
    const places = origins.filter((origin) => origin.kind === 'place');
    if (places.length > 0) {
      const plain = isLinear(opType) && places.every((origin) => origin.plain);
      return { kind: 'place', by: bent, plain, tokens: opType === 'Cast' && places[0]!.tokens };
    }
    const lengths = origins.filter((origin) => origin.kind === 'length');
    const [counted] = lengths;
    if (counted === undefined) return CONSTANT;
    if (!isLinear(opType)) return length(bent ?? shown(node));
    if (inputs.length === 1 || exempt.length > 0) return { ...counted, by: bent };
    return length(bent, this.sum(node, lengths.length === 1 ? counted.plus : null));
  }

  /** The constant that an addition adds to a number of tokens; null if the addends are not one length and one constant. */
  private sum({ opType, inputs }: FlatNode, plus: number | null): number | null {
    const constants = inputs.map((name) => this.constant(name)?.scalar ?? null);
    const added = constants.find((scalar) => scalar !== null) ?? null;
    if (plus === null || added === null) return null;
    if (opType === 'Add') return plus + added;
    return opType === 'Sub' && constants[0] === null ? plus - added : null;
  }
}

/** One dimension of a tensor whose shape is `whole`, or an element of other lengths. */
function dimension(whole: Length, index: number): Origin {
  if (whole.shapeOf === null) return { ...whole, plus: null };
  // The batch, and the heads and their size, are not numbers of tokens.
  const isTokens = whole.shapeOf === 'tokens' ? index !== -2 : [1, 2, -2].includes(index);
  return isTokens ? length(whole.by, 0) : CONSTANT;
}

function joinOf(data: Length, index: Origin): Origin {
  const by = data.by ?? (index.kind === 'length' || index.kind === 'place' ? index.by : null);
  return index.kind === 'place' ? place(by) : index.kind === 'content' ? CONTENT : length(by);
}

function shown({ opType, outputs }: FlatNode): string {
  return `${opType} "${outputs[0]}"`;
}
