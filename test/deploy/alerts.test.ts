import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import { ran } from './support/programs.js';
import { findPromtool } from './support/promtool.js';

const promtool = await findPromtool();
if (promtool.path === null) console.warn(`skipping the tests of the alerts: ${promtool.why}`);

/** Rules of prometheus-adapter. */
interface Adapter {
  readonly rules: readonly { readonly seriesQuery: string; readonly metricsQuery: string }[];
}

describe.skipIf(promtool.path === null)('the Prometheus files', () => {
  const check = async (...args: string[]) => {
    const { code, out, err } = await ran(promtool.path!, args);
    return { code, said: out + err };
  };

  afterAll(async () => {
    if (promtool.path !== null && promtool.folder !== null) await rm(promtool.folder, { recursive: true });
  });

  it('are a valid configuration', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    // Only the container has the key.
    const key = join(folder, 'metrics-key');
    await writeFile(key, 'a key of sixteen characters');
    await copyFile('deploy/prometheus/alerts.yml', join(folder, 'alerts.yml'));
    const config = readFileSync('deploy/prometheus/prometheus.yml', 'utf8').replace('/run/shoal/metrics-key', key);
    await writeFile(join(folder, 'prometheus.yml'), config);
    const { code, said } = await check('check', 'config', '--lint-fatal', join(folder, 'prometheus.yml'));
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  });

  it('draw a dashboard of expressions that Prometheus takes', async () => {
    const dashboard = readFileSync('deploy/grafana/dashboards/shoal.json', 'utf8');
    const { panels } = JSON.parse(dashboard) as { panels: readonly { targets?: readonly { expr: string }[] }[] };
    const asked = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const rules = asked.map((expr, i) => ({ record: `panel:${i}`, expr: expr.replaceAll('$__rate_interval', '1m') }));
    const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'rules.yml'), stringify({ groups: [{ name: 'dashboard', rules }] }));
    expect(rules.length).toBeGreaterThan(50);
    expect(await check('check', 'rules', join(folder, 'rules.yml'))).toMatchObject({ code: 0 });
  });

  it.each([
    // Workers wanted, workers that serve, and what the autoscaler is told.
    [3, 3, '3'],
    [5, 3, '5'],
    [20, 20, '20'],
    [19, 20, '16.8'],
    [9, 10, '7.9'],
    [1, 2, '1'],
    [1, 50, '1'],
  ])('tell an autoscaler that %i workers are wanted where %i serve, so that it acts', async (wanted, serving, told) => {
    const page = readFileSync('docs/KUBERNETES.md', 'utf8');
    const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => parse(match[1]!) as Adapter);
    const rule = blocks
      .flatMap(({ rules }) => rules)
      .find(({ seriesQuery }) => seriesQuery.includes('workers_wanted'))!;
    const expr = rule.metricsQuery
      .replaceAll('<<.Series>>', 'shoal_fleet_workers_wanted')
      .replaceAll('<<.LabelMatchers>>', 'namespace="shoal",service="shoal"')
      .replaceAll('<<.GroupBy>>', 'service');
    const labels = (state = '') => `{namespace="shoal",service="shoal",role="coordinator",pod="a"${state}}`;
    const input_series = [
      { series: `shoal_fleet_workers_wanted${labels()}`, values: `${wanted}x3` },
      { series: `shoal_fleet_workers${labels(',state="serving"')}`, values: `${serving}x3` },
      { series: `shoal_fleet_workers${labels(',state="dead"')}`, values: '7x3' },
    ];
    const exp_samples = [{ labels: '{service="shoal"}', value: Number(told) }];
    const promql_expr_test = [{ expr, eval_time: '1m', exp_samples }];
    const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(
      join(folder, 'test.yml'),
      stringify({ tests: [{ interval: '1m', input_series, promql_expr_test }] }),
    );
    const { code, said } = await check('test', 'rules', join(folder, 'test.yml'));
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    // The horizontal pod autoscaler acts on a difference of more than a tenth.
    if (wanted < serving && serving > 1) expect(Number(told) / serving).toBeLessThan(0.9);
  });

  it('have alerts that fire exactly when they should', async () => {
    const { code, said } = await check('test', 'rules', 'deploy/prometheus/alerts.test.yml');
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  });
});
