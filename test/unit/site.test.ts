import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Item {
  readonly link?: string;
  readonly items?: readonly Item[];
}

const DOCS = new URL('../../docs/', import.meta.url);
const linksIn = (items: readonly Item[]): string[] =>
  items.flatMap(({ link, items = [] }) => [...(link === undefined ? [] : [link]), ...linksIn(items)]);

it('the site lists each page once', async () => {
  const { default: config } = await import(new URL('.vitepress/config.mjs', DOCS).href);
  const pages = ['', 'runbooks/'].flatMap((folder) =>
    readdirSync(new URL(folder || '.', DOCS))
      .filter((name) => name.endsWith('.md') && name !== 'index.md')
      .map((name) => `/${folder}${name.replace(/\.md$/, '').replace('README', '')}`),
  );
  expect(linksIn(config.themeConfig.sidebar).toSorted()).toEqual(pages.toSorted());
});
