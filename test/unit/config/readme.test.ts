import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OPTIONS } from '../../../src/config/options.js';
import { optionsMarkdown } from '../../../src/config/options-markdown.js';

describe('the configuration table', () => {
  it('of the README is that of the code (shoal options prints it)', () => {
    const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
    const table = /<!-- options -->([\s\S]*?)<!-- \/options -->/.exec(readme)?.[1];
    expect(table?.trim()).toBe(optionsMarkdown());
  });

  it('has a row for every option, with as many cells as the head', () => {
    const rows = optionsMarkdown().split('\n');
    expect(rows).toHaveLength(2 + Object.keys(OPTIONS).length);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(7);
  });
});
