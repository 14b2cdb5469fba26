import { formatByteSize } from '../src/byte-size.js';
import { readValues } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { describeResources } from '../src/runtime/core/resources.js';
import { QUEUE_CODE } from '../src/runtime/host/bounded-queue.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';
import { withFleet } from './with-fleet.js';

/** `shoal list` and `shoal inspect`: shows what runs on the nodes of a fleet. */

/** The kinds that can be listed, each with how to get its entries, and their row in a table. */
const KINDS = {
  nodes: {
    headings: ['node', 'kind', 'host', 'pid', 'actors', 'tasks', 'free', 'hosts'],
    entries: async (fleet: FleetClient) =>
      fleet.nodes().filter(({ pid, kind }) => kind === 'node' || pid !== process.pid),
    row: (node: Awaited<ReturnType<FleetClient['nodes']>>[number]) => {
      const own = node.exports.filter(({ name }) => name !== QUEUE_CODE);
      const hosted = own.map(({ name, version }) => `${name}@${version}`).join(' ');
      const { memory, ...free } = node.free;
      const room = [describeResources(free), ...(memory === undefined ? [] : [`memory ${formatByteSize(memory)}`])];
      return [node.id, node.kind, node.host, node.pid, node.actors, node.tasks, room.join(', '), hosted];
    },
  },
  actors: {
    headings: ['actor', 'class', 'name', 'node', 'lifetime', 'restarts', 'running', 'waiting', 'calls', 'errors'],
    entries: (fleet: FleetClient) => fleet.listActors(),
    row: (actor: Awaited<ReturnType<FleetClient['listActors']>>[number]) => {
      const name = actor.name === null ? '' : `${actor.namespace}/${actor.name}`;
      const { id, node, lifetime, restarts, running, waiting, calls, errors } = actor;
      return [id, actor.class, name, node, lifetime, restarts, running, waiting, calls, errors];
    },
  },
  tasks: {
    headings: ['task', 'function', 'node', 'attempt', 'running ms'],
    entries: (fleet: FleetClient) => fleet.listTasks(),
    row: (task: Awaited<ReturnType<FleetClient['listTasks']>>[number]) => {
      return [task.id, task.function, task.node, task.attempt, Math.round(task.runningMs)];
    },
  },
  groups: {
    headings: ['bundle', 'node', 'reserved', 'in it'],
    entries: (fleet: FleetClient) => fleet.listGroups(),
    row: ({ id, node, resources, users }: Awaited<ReturnType<FleetClient['listGroups']>>[number]) => {
      return [id, node, describeResources(resources), users];
    },
  },
  objects: {
    headings: ['node', 'objects', 'in memory', 'references to others'],
    entries: (fleet: FleetClient) => fleet.listObjects(),
    row: ({ node, objects, memoryBytes, borrowed }: Awaited<ReturnType<FleetClient['listObjects']>>[number]) => {
      return [node, objects, formatByteSize(memoryBytes), borrowed];
    },
  },
} as const;

/** Shows all entries of one kind. */
export async function list(context: CommandContext): Promise<number> {
  const [kind = ''] = context.args;
  if (!Object.hasOwn(KINDS, kind)) {
    throw new WrongUsage(`kind: must be one of ${Object.keys(KINDS).join(', ')}, got ${JSON.stringify(kind)}`);
  }
  // Each kind has rows for its own entries.
  const { headings, entries, row } = KINDS[kind as keyof typeof KINDS] as unknown as {
    headings: readonly string[];
    entries: (fleet: FleetClient) => Promise<readonly object[]>;
    row: (entry: object) => (string | number)[];
  };
  const { json } = readValues('list', context);
  const found = await withFleet('list', context, entries);
  const text = found.length === 0 ? `no ${kind}` : table(headings, found.map(row));
  context.io.out(json ? `${JSON.stringify(found)}\n` : `${text}\n`);
  return 0;
}

/** Shows one actor. The exit code is 1 if no actor has that name or id. */
export async function inspect(context: CommandContext): Promise<number> {
  const [wanted] = context.args;
  const { json } = readValues('inspect', context);
  const actors = await withFleet('inspect', context, (fleet) => fleet.listActors());
  const found = actors.filter(({ id, name }) => id === wanted || name === wanted);
  if (found.length === 0) {
    context.io.err(`shoal: no actor has the name or id ${wanted}; shoal list actors shows all\n`);
    return 1;
  }
  context.io.out(`${JSON.stringify(found, null, json ? 0 : 2)}\n`);
  return 0;
}
