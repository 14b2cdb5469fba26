import type { ActorSystem } from '../../actors/system.js';
import { ShoalError } from '../../errors.js';
import type { NodeView } from '../core/node-view.js';
import type { NodeDirectory } from '../member/node-directory.js';
import type { RollCall } from '../member/roll-call.js';
import {
  type BundleEntry,
  HOST_ACTOR,
  HostProtocol,
  type InstanceEntry,
  type ObjectsEntry,
  type TaskEntry,
} from '../messages.js';

/** Asks all nodes what runs on them. */

/** Time for a node to say what runs on it. */
const LIST_TIMEOUT_MS = 5_000;

/** Entries of all nodes that answered, and the ids of the members that did not. */
export interface ListedOnNodes<T> {
  readonly entries: readonly T[];
  readonly silent: readonly string[];
}

/** The entries that each kind of list has. */
interface Kinds {
  readonly instances: InstanceEntry;
  readonly tasks: TaskEntry;
  readonly bundles: BundleEntry;
  readonly objects: ObjectsEntry;
}

export class RuntimeLists {
  constructor(
    private readonly directory: Pick<NodeDirectory, 'nodes' | 'get'>,
    private readonly actors: ActorSystem,
    private readonly rollCall: Pick<RollCall, 'unheard'>,
  ) {}

  /** Never rejects because of a node. */
  async list<K extends keyof Kinds>(kind: K): Promise<ListedOnNodes<Kinds[K]>> {
    const unheard = await this.rollCall.unheard();
    const nodes = this.directory.nodes().filter((node) => node.kind === 'node');
    const answers = await Promise.all(nodes.map((node) => this.answered(node, kind)));
    const isMember = ({ incarnation }: NodeView) => this.directory.get(incarnation) !== null;
    return {
      entries: answers.flatMap((answer) => answer ?? []),
      silent: [...unheard, ...nodes.filter((node, i) => answers[i] === null && isMember(node)).map(({ id }) => id)],
    };
  }

  private async ask<K extends keyof Kinds>(node: NodeView, kind: K): Promise<Kinds[K][]> {
    const at = { node: node.id, incarnation: node.incarnation, actor: HOST_ACTOR };
    const host = this.actors.ref(HostProtocol, at);
    const options = { timeoutMs: LIST_TIMEOUT_MS };
    if (kind === 'objects') return [await host.ask('objects', {}, options)] as Kinds[K][];
    const entries: Kinds[K][] = [];
    const lists = host.stream(kind as 'instances', {}, options) as AsyncIterable<unknown>;
    for await (const list of lists) entries.push(...(list as Kinds[K][]));
    return entries;
  }

  /** Null: the node is gone, does not answer, or runs another version, so that its answer cannot be read. */
  private async answered<K extends keyof Kinds>(node: NodeView, kind: K): Promise<Kinds[K][] | null> {
    try {
      return await this.ask(node, kind);
    } catch (error) {
      if (error instanceof ShoalError) return null;
      throw error;
    }
  }
}
