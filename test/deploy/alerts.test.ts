import { rm } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { ran } from './support/programs.js';
import { findPromtool } from './support/promtool.js';

const promtool = await findPromtool();
if (promtool.path === null) console.warn(`The alerts are not tested: ${promtool.why}`);

describe.skipIf(promtool.path === null)('the files of Prometheus', () => {
  const check = async (...args: string[]) => {
    const { code, out, err } = await ran(promtool.path!, args);
    return { code, said: out + err };
  };

  afterAll(async () => {
    if (promtool.path !== null && promtool.folder !== null) await rm(promtool.folder, { recursive: true });
  });

  it('are a configuration that it takes', async () => {
    expect(await check('check', 'config', '--lint-fatal', 'deploy/prometheus/prometheus.yml')).toMatchObject({
      code: 0,
    });
  });

  it('have alerts that fire when they should, and not when they should not', async () => {
    const { code, said } = await check('test', 'rules', 'deploy/prometheus/alerts.test.yml');
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  });
});
