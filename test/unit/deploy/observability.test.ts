import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AdapterMetrics } from '../../../src/metrics/adapter-metrics.js';
import { CoordinatorMetrics } from '../../../src/metrics/coordinator-metrics.js';
import { watchFleet, watchQuarantine, watchRecommendation, watchStore } from '../../../src/metrics/fleet-metrics.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';
import { RuntimeMetrics } from '../../../src/metrics/runtime-metrics.js';
import { WorkerMetrics } from '../../../src/metrics/worker-metrics.js';

const read = (path: string) => readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8');

/** The names of all series that a coordinator or a worker exports, without labels. */
async function exported(): Promise<Set<string>> {
  const [coordinator, worker] = [new MetricsRegistry(), new MetricsRegistry()];
  new CoordinatorMetrics(coordinator);
  const metrics = new WorkerMetrics(worker);
  metrics.watchCache(() => []);
  metrics.watchDisk(() => false);
  new AdapterMetrics(worker, () => ({ adapters: 0, bytes: 0, budgetBytes: 0 }));
  watchQuarantine(worker, () => []);
  watchRecommendation(coordinator, () => 1);
  watchStore(coordinator, () => null);
  new RuntimeMetrics(worker, () => []);
  for (const registry of [coordinator, worker]) {
    registry.watchProcess();
    watchFleet(registry, () => ({ epoch: '', workers: [], natsConnected: true }));
  }
  const names = new Set<string>();
  for (const text of [await coordinator.text(), await worker.text()]) {
    for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const series = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const suffix of series) names.add(`${name}${suffix}`);
    }
  }
  return names;
}

/** The names of shoal's metrics and of every Node process's metrics. */
const namesIn = (text: string) => new Set(text.match(/\b(?:shoal|process|nodejs)_[a-z0-9_]+/g));

const rules = read('prometheus/alerts.yml');
const alerts = [...rules.matchAll(/^ *- alert: (\w+)$/gm)].map((match) => match[1]!);
const expressions = rules
  .split(/^ *- alert: /m)
  .slice(1)
  .map((rule) => /expr:([\s\S]*?)\n *(?:for|labels):/.exec(rule)![1]!);

interface Source {
  readonly uid: string;
}
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly datasource?: Source;
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: Source }[];
}
interface Variable {
  readonly name: string;
  readonly type: string;
  readonly allValue?: string;
  readonly datasource?: Source;
}
const { panels, templating, id } = JSON.parse(read('grafana/dashboards/shoal.json')) as {
  readonly id?: number | null;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
};
const dashboard = panels.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
/** The braces behind each metric. */
const selectors = dashboard.flatMap((expr) => [
  ...expr.matchAll(/\b(?:(?:shoal|process|nodejs)_\w+|up\b)(\{[^}]*\})?/g),
]);

describe('alerts and dashboard', () => {
  it('use only metrics that coordinators and workers export', async () => {
    const known = await exported();
    for (const texts of [expressions, dashboard]) {
      const asked = texts.flatMap((text) => [...namesIn(text)]);
      expect(asked.length).toBeGreaterThan(10);
      expect(asked.filter((name) => !known.has(name))).toEqual([]);
    }
  });

  it('show every metric of shoal', async () => {
    const shown = [...namesIn(dashboard.join('\n'))].map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
    const ours = [...(await exported())].filter((name) => name.startsWith('shoal_'));
    const plain = new Set(ours.map((name) => name.replace(/_(?:bucket|sum|count)$/, '')));
    expect([...plain].filter((name) => !shown.includes(name))).toEqual([]);
  });

  it('have a test that fires and a test that stays quiet for each alert', () => {
    const tests = read('prometheus/alerts.test.yml');
    const named = [...tests.matchAll(/- name: (.*)$/gm)].map((match) => match[1]!);
    expect(named).toEqual(alerts.flatMap((name) => [`${name} fires`, `${name} is quiet`]));
  });

  it('are imported into any Grafana: every query asks the data source, the namespaces and the workers that its reader chooses', () => {
    expect(id ?? null).toBeNull();
    expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['namespace', 'query'],
      ['worker', 'query'],
    ]);
    // Where a series has no such label, all of them match.
    for (const { allValue } of templating.list.slice(1)) expect(allValue).toBe('.*');
    const asked = [...panels, ...panels.flatMap(({ targets = [] }) => targets), ...templating.list];
    const uids = asked.flatMap(({ datasource }) => (datasource === undefined ? [] : [datasource.uid]));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in.
    expect(new Set(uids)).toEqual(new Set(['${datasource}']));
    expect(selectors.length).toBeGreaterThan(50);
    for (const [selector, labels] of selectors) {
      expect(labels, selector).toContain('namespace=~"$namespace"');
      if (labels!.includes('role="worker"')) expect(labels, selector).toContain('instance=~"$worker"');
    }
  });

  it('have panels that do not overlap, with a unit and different queries', () => {
    for (const { title, type, fieldConfig, targets = [] } of panels) {
      if (type === 'row') continue;
      expect(fieldConfig?.defaults.unit, title).toBeDefined();
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
    const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(taken).size).toBe(taken.length);
  });

  it('have panels with unique names and ids', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  });
});
