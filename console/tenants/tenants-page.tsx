import type { TenantRow, TenantsAnswer } from '../../src/console/table-answers.js';
import { type Column, DataTable } from '../parts/data-table.js';
import { PolledState } from '../parts/polled-state.js';
import { SourceBar, SourceLegend } from '../parts/source-bar.js';
import { usePolled } from '../parts/use-polled.js';
import { agoText, percent } from '../parts/words.js';
import type { Api } from '../session/api.js';

/** Each tenant's requests to this coordinator, and the cached share of their tokens. */

const REFRESH_MS = 2_000;

const promptTokens = ({ cached: { local, remote, computed } }: TenantRow) => local + remote + computed;
const foundTokens = ({ cached: { local, remote } }: TenantRow) => local + remote;

const COLUMNS: readonly Column<TenantRow>[] = [
  {
    key: 'tenant',
    title: 'Tenant',
    value: ({ tenant }) => tenant ?? 'everyone: no key is needed',
    cell: ({ tenant }) => (tenant === null ? 'everyone: no key is needed' : shortName(tenant)),
  },
  { key: 'running', title: 'Running', numeric: true, value: ({ running }) => running },
  {
    key: 'requests',
    title: 'Ended',
    help: 'Requests that have ended',
    numeric: true,
    value: ({ requests }) => requests,
  },
  { key: 'failed', title: 'Failed', numeric: true, value: ({ failed }) => failed },
  { key: 'prompt', title: 'Prompt tokens', numeric: true, value: promptTokens },
  {
    key: 'hits',
    title: 'Found',
    help: 'Share of prompt tokens that were not computed',
    numeric: true,
    value: (row) => (promptTokens(row) === 0 ? null : foundTokens(row) / promptTokens(row)),
    cell: (row) => percent(foundTokens(row), promptTokens(row)),
  },
  {
    key: 'sources',
    title: 'Prompt from',
    value: () => null,
    cell: ({ cached }) => (
      <span class="bar-cell">
        <SourceBar cached={cached} small />
      </span>
    ),
  },
  { key: 'generated', title: 'Generated tokens', numeric: true, value: ({ generated }) => generated },
  {
    key: 'last',
    title: 'Latest request',
    numeric: true,
    value: ({ idle_seconds: idle }) => idle,
    cell: ({ idle_seconds: idle }) => agoText(1_000 * idle),
  },
];

export function TenantsPage({ api }: { readonly api: Api }) {
  const polled = usePolled<TenantsAnswer>(api, '/v1/fleet/tenants', REFRESH_MS);
  const { answer } = polled;
  return (
    <section class="card" aria-labelledby="tenants-title">
      <div class="tools">
        <h1 id="tenants-title">Tenants</h1>
        <SourceLegend />
      </div>
      <PolledState polled={polled} />
      {answer !== null && (
        <>
          <p class="hint">Of this coordinator, since it started {agoText(1_000 * answer.since_seconds)}.</p>
          <DataTable
            name="tenants"
            rows={answer.tenants}
            columns={COLUMNS}
            rowKey={({ tenant }) => tenant ?? ''}
            order={{ key: 'prompt', descending: true }}
            empty="Nobody has asked anything yet."
          />
        </>
      )}
    </section>
  );
}

/** A key without an id forms its own tenant, named by its digest. */
function shortName(tenant: string): string {
  return /^[0-9a-f]{64}$/.test(tenant) ? `key ${tenant.slice(0, 12)}` : tenant;
}
