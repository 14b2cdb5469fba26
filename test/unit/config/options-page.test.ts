import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CHAOS_OPTIONS } from '../../../src/config/chaos-options.js';
import { COST_OPTIONS } from '../../../src/config/cost-options.js';
import { OPTIONS } from '../../../src/config/options.js';
import { optionsMarkdown } from '../../../src/config/options-markdown.js';
import { expectParts } from '../../support/marked-page.js';

const pageOf = (name: string) => fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));

describe('the table of options', () => {
  it('in docs/OPTIONS.md is the output of `shoal options` (npm run docs writes it)', async () => {
    await expectParts(pageOf('OPTIONS.md'), { options: optionsMarkdown() });
  });

  it('of shoal chaos is in docs/CLI.md', async () => {
    await expectParts(pageOf('CLI.md'), { 'chaos options': optionsMarkdown(CHAOS_OPTIONS) });
  });

  it('of shoal cost and shoal plan is in docs/CLI.md', async () => {
    await expectParts(pageOf('CLI.md'), { 'cost options': optionsMarkdown(COST_OPTIONS) });
  });

  it('has a row for every option, with as many cells as the heading', () => {
    const rows = optionsMarkdown().split('\n');
    expect(rows).toHaveLength(2 + Object.keys(OPTIONS).length);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(7);
  });
});
