import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const pages = ['README.md', ...readdirSync(`${ROOT}docs`).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);
/** A path in backquotes, from the root of the repository; source files may omit `.ts`. */
const PATH = /`((?:src|coordinator|workers|cli|test|bench|deploy|console)\/[\w./-]*)`/g;

describe('the pages', () => {
  it.each(pages)('%s names only files and folders that exist', (page) => {
    const text = readFileSync(ROOT + page, 'utf8');
    const named = [...text.matchAll(PATH)].map(([, path]) => path!);
    expect(named.filter((path) => !existsSync(ROOT + path) && !existsSync(`${ROOT}${path}.ts`))).toEqual([]);
  });
});
