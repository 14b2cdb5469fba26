import type { Graph, GraphBody, GraphNode, Initializer } from './graph.js';

/** A graph as one list of nodes: the model's own functions and the graphs within nodes are put in the place of their calls. */

export interface FlatNode {
  /** `If` for each output of an If, with the condition and that output of each branch as inputs. */
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly integers: ReadonlyMap<string, readonly number[]>;
  /** The node of the graph itself; null if the node is in a function or in a subgraph. */
  readonly own: GraphNode | null;
}

export interface FlatGraph {
  /** In the file's order, which ONNX requires to be topological. */
  readonly nodes: readonly FlatNode[];
  /** By tensor, weights and the outputs of Constant. */
  readonly constants: ReadonlyMap<string, Initializer>;
}

/** How deep functions and graphs are followed. ONNX forbids functions that call themselves. */
const MAX_DEPTH = 32;
const NONE: ReadonlyMap<string, readonly number[]> = new Map();

/** Puts all nodes of a graph into one list. Tensors within functions and inner graphs get unique names there. */
export function flatGraph(graph: Graph): FlatGraph {
  const flattening = new Flattening(graph.functions);
  flattening.add({ ...graph, inputs: [], outputs: [] }, new Scope('', null), 0);
  return flattening;
}

/** The names that are known in one graph or function. */
class Scope {
  private readonly names = new Map<string, string>();

  constructor(
    readonly prefix: string,
    private readonly outer: Scope | null,
  ) {}

  define(name: string, as = this.prefix + name): string {
    this.names.set(name, as);
    return as;
  }

  resolve(name: string): string {
    if (name === '') return '';
    return this.names.get(name) ?? this.outer?.resolve(name) ?? name;
  }
}

class Flattening implements FlatGraph {
  readonly nodes: FlatNode[] = [];
  readonly constants = new Map<string, Initializer>();

  constructor(private readonly functions: ReadonlyMap<string, GraphBody>) {}

  add({ nodes, initializers }: GraphBody, scope: Scope, depth: number): void {
    for (const initializer of initializers) this.constants.set(scope.define(initializer.name), initializer);
    for (const [index, node] of nodes.entries()) {
      const inputs = node.inputs.map((name) => scope.resolve(name));
      const outputs = node.outputs.map((name) => (name === '' ? '' : scope.define(name)));
      const call = { node, inputs, outputs, scope: `${scope.prefix}${index}/`, outer: scope, depth: depth + 1 };
      const called = this.functions.get(`${node.domain}:${node.opType}`);
      if (node.constant !== null && node.opType === 'Constant') this.constants.set(outputs[0]!, node.constant);
      else if (called !== undefined && depth < MAX_DEPTH) this.addFunction(called, call);
      else if (node.bodies.length > 0 && depth < MAX_DEPTH) this.addBodies(call);
      else {
        const { opType, domain, integers } = node;
        this.nodes.push({ opType, domain, inputs, outputs, integers, own: depth === 0 ? node : null });
      }
    }
  }

  private addFunction(body: GraphBody, { inputs, outputs, scope: prefix, depth }: Call): void {
    // A function sees nothing but its inputs.
    const scope = new Scope(prefix, null);
    for (const [i, name] of body.inputs.entries()) scope.define(name, inputs[i] ?? '');
    this.add(body, scope, depth);
    for (const [i, name] of outputs.entries()) this.push('Identity', [scope.resolve(body.outputs[i] ?? '')], name);
  }

  private addBodies({ node, inputs, outputs, scope: prefix, outer, depth }: Call): void {
    const scopes = node.bodies.map((body, i) => {
      const scope = new Scope(`${prefix}${i}/`, outer);
      this.bindInputs(node.opType, body, inputs, scope);
      this.add(body, scope, depth);
      return scope;
    });
    if (node.opType === 'If') {
      for (const [k, name] of outputs.entries()) {
        const branches = node.bodies.map((body, i) => scopes[i]!.resolve(body.outputs[k] ?? ''));
        const own = depth === 1 ? node : null;
        this.push('If', [inputs[0] ?? '', ...branches], name, own);
      }
      return;
    }
    const made = node.bodies.flatMap((body, i) => body.outputs.map((name) => scopes[i]!.resolve(name)));
    for (const name of outputs) this.push(node.opType, [...inputs, ...made], name);
  }

  /** The inputs of a Loop's or a Scan's graph. The first one of a Loop's counts its turns. */
  private bindInputs(opType: string, body: GraphBody, inputs: readonly string[], scope: Scope): void {
    for (const [i, name] of body.inputs.entries()) {
      const inner = scope.define(name);
      if (opType === 'Loop' && i === 0) this.push('Range', [], inner);
      else this.push('Identity', [inputs[i] ?? ''], inner);
    }
  }

  private push(opType: string, inputs: readonly string[], output: string, own: GraphNode | null = null): void {
    this.nodes.push({ opType, domain: '', inputs, outputs: [output], integers: NONE, own });
  }
}

/** A node that calls a function, a list of other nodes. */
interface Call {
  readonly node: GraphNode;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly scope: string;
  readonly outer: Scope;
  readonly depth: number;
}
