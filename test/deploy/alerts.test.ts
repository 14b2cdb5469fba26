import { rm } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
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
    expect(await check('check', 'config', '--lint-fatal', 'deploy/prometheus/prometheus.yml')).toMatchObject({
      code: 0,
    });
  });

  it('have alerts that fire exactly when they should', async () => {
    const { code, said } = await check('test', 'rules', 'deploy/prometheus/alerts.test.yml');
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  });
});
