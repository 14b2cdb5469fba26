import type { ActorRow, ActorsAnswer, RuntimeNodeRow, TaskRow } from '../../src/console/table-answers.js';
import { addressOf } from '../parts/address.js';
import { type Column, DataTable } from '../parts/data-table.js';
import { PolledState } from '../parts/polled-state.js';
import { usePolled } from '../parts/use-polled.js';
import { timeText } from '../parts/words.js';
import type { Api } from '../session/api.js';

/** The nodes of the runtime, and the actors and tasks on them. */

const REFRESH_MS = 3_000;

const NODES: readonly Column<RuntimeNodeRow>[] = [
  { key: 'id', title: 'Node', value: ({ id }) => id },
  {
    key: 'kind',
    title: 'Kind',
    help: 'A node hosts actors; a driver is a program that uses them',
    value: ({ kind }) => kind,
  },
  {
    key: 'worker',
    title: 'Worker',
    help: 'The worker in the same process',
    value: ({ worker }) => worker,
    cell: ({ worker }) => (worker === null ? '–' : <a href={addressOf('workers', { filter: worker })}>{worker}</a>),
  },
  { key: 'actors', title: 'Actors', numeric: true, value: ({ actors }) => actors },
  { key: 'tasks', title: 'Tasks', numeric: true, value: ({ tasks }) => tasks },
  { key: 'host', title: 'Host', value: ({ host }) => host },
  { key: 'pid', title: 'Process', numeric: true, value: ({ pid }) => pid, cell: ({ pid }) => pid },
  { key: 'hosts', title: 'Hosts', help: 'Its classes and functions', value: ({ hosts }) => hosts.join(', ') || null },
];

const ACTORS: readonly Column<ActorRow>[] = [
  {
    key: 'name',
    title: 'Actor',
    value: ({ id, name, namespace }) => (name === null ? id : `${namespace}/${name}`),
  },
  { key: 'class', title: 'Class', value: (row) => row.class },
  {
    key: 'node',
    title: 'Node',
    value: ({ node }) => node,
    cell: ({ node }) => <a href={addressOf('actors', { filter: node })}>{node}</a>,
  },
  {
    key: 'lifetime',
    title: 'Lives',
    value: ({ lifetime }) => (lifetime === 'driver' ? 'with its program' : 'detached'),
  },
  { key: 'running', title: 'Running calls', numeric: true, value: ({ running }) => running },
  { key: 'calls', title: 'Calls', numeric: true, value: ({ calls }) => calls },
  { key: 'errors', title: 'Errors', numeric: true, value: ({ errors }) => errors },
  { key: 'restarts', title: 'Restarts', numeric: true, value: ({ restarts }) => restarts },
];

const TASKS: readonly Column<TaskRow>[] = [
  { key: 'id', title: 'Task', value: ({ id }) => id },
  { key: 'function', title: 'Function', value: (row) => row.function },
  { key: 'node', title: 'Node', value: ({ node }) => node },
  { key: 'attempt', title: 'Attempt', numeric: true, value: ({ attempt }) => attempt },
  {
    key: 'running',
    title: 'Runs for',
    numeric: true,
    value: ({ running_ms: ms }) => ms,
    cell: ({ running_ms: ms }) => timeText(ms),
  },
];

export function ActorsPage({ api, filter }: { readonly api: Api; readonly filter: string }) {
  const polled = usePolled<ActorsAnswer>(api, '/v1/fleet/actors', REFRESH_MS);
  const { answer } = polled;
  return (
    <div class="column">
      <section class="card" aria-labelledby="actors-title">
        <h1 id="actors-title">Actors</h1>
        <PolledState polled={polled} />
        {answer !== null && (
          <>
            {answer.silent.length > 0 && <p class="error">No answer from {answer.silent.join(', ')}.</p>}
            {answer.more && <p class="hint">There are more than are listed: shoal list actors shows all.</p>}
            <DataTable
              key={filter}
              name="actors"
              rows={answer.actors}
              columns={ACTORS}
              rowKey={({ id }) => id}
              filter={filter}
              empty={<NoActors nodes={answer.nodes.some(({ kind }) => kind === 'node')} />}
            />
          </>
        )}
      </section>
      {answer !== null && (
        <>
          <section class="card" aria-labelledby="nodes-title">
            <h2 id="nodes-title">Nodes and programs</h2>
            <DataTable
              name="nodes"
              rows={answer.nodes}
              columns={NODES}
              rowKey={({ id, pid, kind }) => `${kind} ${id} ${pid}`}
              empty="No node hosts actors, and no program uses them."
            />
          </section>
          <section class="card" aria-labelledby="tasks-title">
            <h2 id="tasks-title">Tasks that run now</h2>
            <DataTable
              name="tasks"
              rows={answer.tasks}
              columns={TASKS}
              rowKey={({ id, attempt }) => `${id} ${attempt}`}
              empty="No task runs now."
            />
          </section>
        </>
      )}
    </div>
  );
}

function NoActors({ nodes }: { readonly nodes: boolean }) {
  return nodes ? (
    <>No actor lives now. Programs create them: see shoal run.</>
  ) : (
    <>
      This fleet hosts no actors. Start its workers, or <code>shoal node</code>, with <code>--actors MODULE</code>, and
      programs can create actors next to the K/V.
    </>
  );
}
