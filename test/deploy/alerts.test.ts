import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { ran } from './support/programs.js';
import { findPromtool } from './support/promtool.js';

const promtool = await findPromtool();
if (promtool.path === null) console.warn(`skipping the tests of the alerts: ${promtool.why}`);

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

  it('have alerts that fire exactly when they should', async () => {
    const { code, said } = await check('test', 'rules', 'deploy/prometheus/alerts.test.yml');
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  });
});
