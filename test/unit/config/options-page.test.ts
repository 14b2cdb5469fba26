import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHAOS_OPTIONS } from '../../../src/config/chaos-options.js';
import { OPTIONS } from '../../../src/config/options.js';
import { optionsMarkdown } from '../../../src/config/options-markdown.js';

describe('the table of options', () => {
  it('in docs/OPTIONS.md is the output of `shoal options`', () => {
    const page = readFileSync(new URL('../../../docs/OPTIONS.md', import.meta.url), 'utf8');
    const table = /<!-- options -->([\s\S]*?)<!-- \/options -->/.exec(page)?.[1];
    expect(table?.trim()).toBe(optionsMarkdown());
  });

  it('of shoal chaos is in docs/CLI.md', () => {
    const page = readFileSync(new URL('../../../docs/CLI.md', import.meta.url), 'utf8');
    const table = /<!-- chaos options -->([\s\S]*?)<!-- \/chaos options -->/.exec(page)?.[1];
    expect(table?.trim()).toBe(optionsMarkdown(CHAOS_OPTIONS));
  });

  it('has a row for every option, with as many cells as the heading', () => {
    const rows = optionsMarkdown().split('\n');
    expect(rows).toHaveLength(2 + Object.keys(OPTIONS).length);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(7);
  });
});
