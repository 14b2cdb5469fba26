import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { OPTIONS } from '../../../src/config/options.js';

/** The page of each alert. */

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly annotations: Readonly<Record<string, string>> }[];
  }[];
}

const rules = (parse(read('deploy/prometheus/alerts.yml')) as Rules).groups.flatMap((group) => group.rules);
const pages = readdirSync(new URL('docs/runbooks', root)).filter((name) => name !== 'README.md');
const COMMANDS = ['shoal health', 'shoal status', 'shoal doctor', 'shoal explain', 'shoal bench', 'curl'];

describe('the runbooks', () => {
  it('are one for each alert, which names it', () => {
    expect(pages.toSorted()).toEqual(rules.map(({ alert }) => `${alert}.md`).toSorted());
    const repository = /REPOSITORY = '(.*)'/.exec(read('docs/.vitepress/config.mjs'))![1]!;
    expect(URL.canParse(repository)).toBe(true);
    for (const { alert, annotations } of rules)
      expect(annotations.runbook_url).toBe(`${repository}/docs/runbooks/${alert}.md`);
  });

  it('are all named by the list of runbooks', () => {
    const list = read('docs/runbooks/README.md');
    expect(pages.filter((page) => !list.includes(`](${page})`))).toEqual([]);
  });

  it.each(pages)('%s says what to see, decide, mend and prevent', (page) => {
    const text = read(`docs/runbooks/${page}`);
    expect(text.startsWith(`# ${page.replace('.md', '')}\n\n**Symptom.** `)).toBe(true);
    const headings = [...text.matchAll(/^## (.*)$/gm)].map((match) => match[1]);
    expect(headings).toEqual(['Look', 'Decide', 'Fix', 'Prevent']);
    const look = /```sh\n([\s\S]*?)```/.exec(text)![1]!.trim();
    expect(COMMANDS.some((command) => look.startsWith(command))).toBe(true);
    const flags = [...text.matchAll(/(?<=`)--[a-z-]+/g)].map(([flag]) => flag);
    const known = Object.values(OPTIONS).map((option) => `--${option.flag}`);
    expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
    const links = [...text.matchAll(/\]\(([\w./-]+\.md)\)/g)].map((match) => match[1]!);
    for (const link of links) expect(read(`docs/runbooks/${link}`).length).toBeGreaterThan(0);
  });
});
