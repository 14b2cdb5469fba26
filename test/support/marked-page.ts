import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/** Pages with generated parts, each between `<!-- NAME -->` and `<!-- /NAME -->`. */

/** Expects that the page has the parts; with `--update` (`npm run docs`) it writes them. */
export async function expectParts(page: string, parts: Readonly<Record<string, string>>): Promise<void> {
  let text = readFileSync(page, 'utf8');
  for (const [name, part] of Object.entries(parts)) {
    const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
    expect(text).toMatch(marked);
    text = text.replace(marked, (_, begin: string, end: string) => `${begin}\n${part}\n\n${end}`);
  }
  await expect(text).toMatchFileSnapshot(page);
}
