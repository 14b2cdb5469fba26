import { z } from 'zod';
import { NodeAddress } from '../../actors/envelope.js';
import { type Behavior, defineProtocol, stream } from '../../actors/protocol.js';
import type { ActorSystem } from '../../actors/system.js';
import type { Clock } from '../../clock.js';
import { ShoalError } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { ANNOUNCE_INTERVAL_MS, CALLS_IN_FLIGHT } from '../../limits.js';
import type { NodeView } from '../core/node-view.js';
import type { NodeDirectory } from './node-directory.js';

/** Asks the nodes that a process has heard which nodes they know, so that a new process knows when it has heard them all. */

/** Time in which a process hears all nodes that can reach it: an interval between announcements, and a margin for slow machines. */
const HEARD_MS = ANNOUNCE_INTERVAL_MS + 200;
const MEMBERS_ACTOR = 'shoal-members';
/** Nodes in one message. */
const NODES_AT_A_TIME = 256;
/** Nodes that are remembered after they have gone. Others may still take them for members. */
const GONE_NODES = 1_024;

const MembersProtocol = defineProtocol('shoal-members', {
  /** The nodes that a node knows, itself among them. A node that has just started answers once it has had the time to hear all. */
  nodes: stream(z.strictObject({}), z.array(NodeAddress).max(NODES_AT_A_TIME)),
});

export interface RollCallOptions {
  readonly directory: Pick<NodeDirectory, 'nodes' | 'get' | 'news' | 'listen'>;
  readonly actors: ActorSystem;
  readonly clock: Clock;
}

export class RollCall {
  private readonly joinedMs: number;
  /** Incarnations. */
  private readonly gone = new Set<string>();

  constructor(private readonly options: RollCallOptions) {
    this.joinedMs = options.clock.now();
    options.directory.listen(({ type, node }) => {
      if (type !== 'left' && type !== 'gone') return;
      this.gone.add(node.incarnation);
      if (this.gone.size > GONE_NODES) this.gone.delete([...this.gone][0]!);
    });
  }

  /** Answers the roll calls of others, as each node does. */
  async start(life: Lifecycle): Promise<void> {
    const { clock, actors } = this.options;
    let heardAll = () => {};
    const heard = new Promise<void>((resolve) => {
      heardAll = resolve;
    });
    life.use(clock.after(HEARD_MS, heardAll), (timer) => timer.cancel());
    const nodes = () => this.nodes();
    const behavior: Behavior<typeof MembersProtocol> = {
      async *nodes() {
        await heard;
        const known = nodes().map(({ id: node, incarnation }) => ({ node, incarnation }));
        for (let at = 0; at < known.length; at += NODES_AT_A_TIME) yield known.slice(at, at + NODES_AT_A_TIME);
      },
    };
    const spawned = { concurrency: CALLS_IN_FLIGHT, mailbox: CALLS_IN_FLIGHT, listed: false };
    await actors.spawn(MembersProtocol, MEMBERS_ACTOR, () => behavior, spawned);
  }

  /**
   * Resolves when this process has heard every node that the nodes know, or after the time in which it should have. Returns the ids of the nodes
   * that others know and this process has not heard.
   */
  async unheard(): Promise<readonly string[]> {
    const { clock, directory } = this.options;
    const untilMs = clock.now() + HEARD_MS;
    const named = new Map<string, string>();
    const asked = new Set<string>();
    let open = 0;
    let wake = () => {};
    const ask = async (node: NodeView) => {
      open++;
      asked.add(node.incarnation);
      for (const known of await this.knownTo(node, untilMs - clock.now())) named.set(known.incarnation, known.node);
      open--;
      wake();
    };
    for (;;) {
      const nodes = this.nodes();
      for (const node of nodes) if (!asked.has(node.incarnation)) void ask(node);
      const isMissing = (incarnation: string) => directory.get(incarnation) === null && !this.gone.has(incarnation);
      const missing = [...named].filter(([incarnation]) => isMissing(incarnation)).map(([, id]) => id);
      const hasHeardSome = nodes.length > 0 || clock.now() >= this.joinedMs + HEARD_MS;
      const leftMs = untilMs - clock.now();
      if ((hasHeardSome && open === 0 && missing.length === 0) || leftMs <= 0) return missing;
      const answered = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([directory.news(leftMs), answered]);
    }
  }

  private nodes(): NodeView[] {
    return this.options.directory.nodes().filter(({ kind }) => kind === 'node');
  }

  /** None if the node does not answer. */
  private async knownTo({ id, incarnation }: NodeView, timeoutMs: number): Promise<NodeAddress[]> {
    const at = { node: id, incarnation, actor: MEMBERS_ACTOR };
    const known: NodeAddress[] = [];
    try {
      const lists = this.options.actors.ref(MembersProtocol, at).stream('nodes', {}, { timeoutMs });
      for await (const list of lists) known.push(...list);
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
    }
    return known;
  }
}
