import type { ListedOnNodes } from '../../../src/runtime/client/runtime-lists.js';
import type { NodeView } from '../../../src/runtime/core/node-view.js';
import type { BundleEntry, InstanceEntry, ObjectsEntry, TaskEntry } from '../../../src/runtime/messages.js';
import { ApiError } from '../../openai/api-error.js';
import type { RuntimeView } from '../../runtime/runtime-view.js';
import { type HttpRoute, json } from '../route.js';

/** `GET /v1/runtime/nodes`, `/actors`, `/actors/{name or id}`, `/tasks`, `/groups` and `/objects`: what runs of users' code (docs/ACTORS.md). */

export function runtimeRoutes(runtime: RuntimeView): HttpRoute[] {
  const route = (path: string, summary: string, handle: HttpRoute['handle']): HttpRoute => ({
    method: 'GET',
    path: `/v1/runtime/${path}`,
    about: { summary },
    access: 'operator',
    handle,
  });
  return [
    route('nodes', 'Lists the nodes and drivers of the runtime, with the code that the nodes host.', () =>
      json({ data: runtime.nodes().map(nodeRow) }),
    ),
    route('actors', 'Lists the actors on all nodes.', async () => listed(await runtime.actors(), actorRow)),
    route('actors/:actor', 'Shows the actors of this name or id.', async ({ params: { actor = '' } }) => {
      const { entries, silent } = await runtime.actors();
      const found = entries.filter(({ id, name }) => id === actor || name === actor);
      if (found.length > 0 || silent.length > 0) return listed({ entries: found, silent }, actorRow);
      throw new ApiError(404, `actor: no actor has the name or id '${actor}'; GET /v1/runtime/actors lists all`, {
        param: 'actor',
        code: 'actor_not_found',
      });
    }),
    route('tasks', 'Lists the tasks that run now on all nodes.', async () => listed(await runtime.tasks(), taskRow)),
    route('groups', 'Lists the bundles of placement groups that nodes have reserved.', async () =>
      listed(await runtime.groups(), groupRow),
    ),
    route('objects', 'Says how many objects each node stores.', async () =>
      listed(await runtime.objects(), objectsRow),
    ),
  ];
}

/** `silent`: the nodes that did not answer, whose entries are missing. */
function listed<T>({ entries, silent }: ListedOnNodes<T>, rowOf: (entry: T) => object) {
  return json({ data: entries.map(rowOf), silent });
}

function nodeRow({ id, incarnation, kind, pid, host, worker, exports, total, free, actors, tasks }: NodeView) {
  const hosted = exports.map(({ name, kind: of, version }) => ({ name, kind: of, version }));
  return { id, incarnation, kind, pid, host, worker, exports: hosted, total, free, actors, tasks };
}

function actorRow({ maxConcurrency, ageMs, ...entry }: InstanceEntry) {
  return { ...entry, max_concurrency: maxConcurrency, age_ms: ageMs };
}

function taskRow({ runningMs, ...entry }: TaskEntry) {
  return { ...entry, running_ms: runningMs };
}

function groupRow(entry: BundleEntry) {
  return entry;
}

function objectsRow({ memoryBytes, ...entry }: ObjectsEntry) {
  return { ...entry, memory_bytes: memoryBytes };
}
