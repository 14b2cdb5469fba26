import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

/** Checks a page against axe-core's rules of accessibility. */

const SCRIPT = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// The rule for the size of targets is not among those that axe applies by default. Addresses of the console begin with `#`, so the rule for links
// within a page takes them for such.
const RULES = "{ 'target-size': { enabled: true }, 'skip-link': { enabled: false } }";
const OPTIONS = `{ resultTypes: ['violations'], rules: ${RULES} }`;
const RUN = `axe.run(document, ${OPTIONS}).then(({ violations }) =>
  violations.flatMap(({ id, nodes }) => nodes.map(({ target, html }) => [id, target.join(' '), html].join(' | '))))`;

/** Gives what breaks a rule, and which. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(SCRIPT);
  return page.evaluate<string[]>(RUN);
}
