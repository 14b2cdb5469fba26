import { hostname } from 'node:os';
import type { Bus } from '../../bus/bus.js';
import type { Clock } from '../../clock.js';
import { Refused } from '../../errors.js';
import { livingNamesake } from '../../fleet/namesake-check.js';
import { runtimeSubjects } from '../../fleet/subjects.js';
import type { Log } from '../../log.js';
import { readMessage } from '../../wire/read-message.js';
import type { NodeView } from '../core/node-view.js';
import { NodeAnnouncement } from '../messages.js';
import type { NodeDirectory } from './node-directory.js';

/** Keeps two living nodes from having one id. */

export interface NodeNamesakeOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly namespace: string;
  readonly id: string;
}

/** Listens before this node announces itself. @throws Refused if another node that lives has the id */
export async function requireNoNamesake({ bus, clock, namespace, id }: NodeNamesakeOptions): Promise<void> {
  const { hello, announce } = runtimeSubjects(namespace);
  const other = await livingNamesake({
    ...{ bus, clock, subjects: { ask: hello, said: announce } },
    namesakeIn: (payload) => {
      const view = readMessage(NodeAnnouncement, payload);
      return view?.kind === 'node' && view.id === id ? view : null;
    },
  });
  if (other !== null) throw new Refused(taken(other));
}

/** Logs that another node has the id of this one: both started at the same time, or could not hear each other. Returns a function that ends this. */
export function watchNamesakes(directory: NodeDirectory, self: { node: string; incarnation: string }, log: Log) {
  return directory.listen(({ type, node }) => {
    const isNamesake = node.kind === 'node' && node.id === self.node && node.incarnation !== self.incarnation;
    if (type === 'joined' && isNamesake) log.error({ pid: node.pid, host: node.host }, taken(node));
  });
}

function taken({ id, pid, host }: NodeView): string {
  const where = host === hostname() ? 'this host' : host;
  return `another node of this fleet is named ${id} too: process ${pid} on ${where}; give each a --node-id (SHOAL_NODE_ID) of its own, or none`;
}
