import type { ActorSystem } from '../../src/actors/system.js';
import type { Bus } from '../../src/bus/bus.js';
import type { Clock } from '../../src/clock.js';
import { fleetSubjects, runtimeSubjects } from '../../src/fleet/subjects.js';
import type { Lifecycle } from '../../src/lifecycle.js';
import { type ListedOnNodes, RuntimeLists } from '../../src/runtime/client/runtime-lists.js';
import type { NodeView } from '../../src/runtime/core/node-view.js';
import { NodeDirectory } from '../../src/runtime/member/node-directory.js';
import { RollCall } from '../../src/runtime/member/roll-call.js';
import type { BundleEntry, InstanceEntry, ObjectsEntry, TaskEntry } from '../../src/runtime/messages.js';

/** The users' code that runs in the fleet, as HTTP shows it. */
export interface RuntimeView {
  /** Nodes and drivers. */
  nodes(): readonly NodeView[];
  /** The rest asks each node. */
  actors(): Promise<ListedOnNodes<InstanceEntry>>;
  tasks(): Promise<ListedOnNodes<TaskEntry>>;
  groups(): Promise<ListedOnNodes<BundleEntry>>;
  objects(): Promise<ListedOnNodes<ObjectsEntry>>;
}

/** The view of a coordinator, which listens to the members of the runtime and is none. */
export class LiveRuntimeView implements RuntimeView {
  private readonly directory: NodeDirectory;
  private readonly lists: RuntimeLists;

  constructor(
    bus: Bus,
    clock: Clock,
    namespace: string,
    private readonly callers: ActorSystem,
  ) {
    const { node, incarnation } = callers.node;
    const echo = fleetSubjects(namespace).echo(node, incarnation);
    this.directory = new NodeDirectory({ bus, clock, subjects: runtimeSubjects(namespace), describe: null, echo });
    const rollCall = new RollCall({ directory: this.directory, actors: callers, clock });
    this.lists = new RuntimeLists(this.directory, callers, rollCall);
  }

  async start(life: Lifecycle): Promise<void> {
    this.directory.listen(({ type, node }) => {
      if (type === 'joined') this.callers.nodeBack(node.id, node.incarnation);
      if (type === 'left' || type === 'gone') this.callers.nodeGone(node.id, node.incarnation);
    });
    await life.start(this.directory);
  }

  nodes(): readonly NodeView[] {
    return this.directory.nodes();
  }

  actors(): Promise<ListedOnNodes<InstanceEntry>> {
    return this.lists.list('instances');
  }

  tasks(): Promise<ListedOnNodes<TaskEntry>> {
    return this.lists.list('tasks');
  }

  groups(): Promise<ListedOnNodes<BundleEntry>> {
    return this.lists.list('bundles');
  }

  objects(): Promise<ListedOnNodes<ObjectsEntry>> {
    return this.lists.list('objects');
  }
}
