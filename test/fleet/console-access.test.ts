import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { axeViolations } from './support/axe.js';
import {
  CHROMIUM,
  type ColorScheme,
  click,
  PAGES,
  PATIENCE,
  see,
  useBrowser,
  visit,
} from './support/console-browser.js';
import { Fleet } from './support/fleet.js';
import { overflowingTexts } from './support/overflow.js';

/** Whether everybody can read and use the console: by keyboard, on a small screen, in the dark, with a key that has limits or is taken back. */

const LONG = { timeout: 600_000 };
const SCREENS: readonly (readonly [number, ColorScheme])[] = [
  [1440, 'light'],
  [360, 'dark'],
  [1440, 'dark'],
  [360, 'light'],
];
/** A word without a place to break it. */
const LONG_WORD = 'amber'.repeat(60);
const NOTES = 'Notes: The amber key is in the harbor. '.repeat(30);

const secret = (id: string) => `the-secret-of-${id}`;
const entry = (id: string, fields: string) => `  - { id: ${id}, secret: ${secret(id)}, tenant: acme, ${fields} }\n`;

/** A fleet with a file of keys. Gives the way to change them. */
async function fleetWithKeys(keys: string) {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-console-'));
  const file = join(folder, 'keys.yaml');
  const write = (entries: string) => writeFileSync(file, `keys:\n${entries}`, { mode: 0o600 });
  write(keys);
  const fleet = await Fleet.up(['--workers', '1', '--keys-file', file]);
  onTestFinished(async () => {
    await fleet.stop();
    rmSync(folder, { recursive: true });
  });
  return { fleet, write };
}

async function login(page: Page, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await click(page, 'Open');
}

describe.skipIf(!existsSync(CHROMIUM))(
  `the console for everybody (skipped without ${CHROMIUM}: apt-get install chromium)`,
  () => {
    const open = useBrowser();

    it.each(SCREENS)('breaks no rule of accessibility, %i pixels wide and %s', LONG, async (width, scheme) => {
      const fleet = await Fleet.up(['--workers', '2', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      await fleet.complete({ prompt: NOTES, max_tokens: 4 });
      const { page, faults } = await open(fleet.url, width, scheme);
      const check = async (state: string) => {
        const bad = [...(await axeViolations(page)), ...(await overflowingTexts(page))];
        expect([state, bad]).toEqual([state, []]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      };
      for (const name of PAGES) {
        await visit(page, name);
        await page.getByRole('heading', { level: 1, name }).waitFor({ ...PATIENCE, state: 'attached' });
        expect(await page.title()).toBe(`${name} · shoal`);
        await check(name);
      }

      await visit(page, 'Ring');
      await click(page, 'Ask');
      await see(page, /worker-\d computed \d+ tokens\./);
      await click(page, 'Kill worker-2');
      await page.locator('.confirm').waitFor();
      // Enter pressed twice kills nobody.
      await page.keyboard.press('Enter');
      await page.locator('.confirm').waitFor({ state: 'detached' });
      await click(page, 'Kill worker-2');
      await check('a question');
      await click(page, 'Cancel');

      await visit(page, 'Requests');
      await page.locator('.waterfall .row').first().click();
      await check('details of a request');
      await page.getByLabel('Show').selectOption('hour');
      await page.locator('.waterfall time').first().waitFor();
      await page.locator('.waterfall .row').first().click();
      await check('a slow request');

      await visit(page, 'Chat');
      await page.getByRole('textbox', { name: 'Question' }).fill(`Where is the ${LONG_WORD}?`);
      await click(page, 'Send');
      await see(page, 'First token after');
      await click(page, 'Ask again');
      await page.getByText('First token after').nth(1).waitFor(PATIENCE);
      for (const summary of await page.locator('summary').all()) await summary.click();
      await page.locator('pre.prompt').nth(1).waitFor(PATIENCE);
      await check('the details of answers');
      await page.getByRole('button', { name: 'Copy: curl' }).first().click();
      await see(page, 'Copied.');

      await visit(page, 'Explain');
      await click(page, 'Compare with another prompt');
      await page.getByLabel('First prompt').fill(NOTES);
      await page.getByLabel('Second prompt').fill(`${NOTES.slice(0, 900)}${LONG_WORD}`);
      await click(page, 'Compare');
      await page.locator('pre.parting').waitFor(PATIENCE);
      await check('two prompts');

      await visit(page, 'Cache');
      await click(page, 'Forget all blocks');
      await page.locator('.confirm').waitFor();
      await check('a question on the cache');
      expect(faults).toEqual([]);
    });

    it.each(SCREENS)('has a login that breaks none, %i pixels wide and %s', async (width, scheme) => {
      const { fleet } = await fleetWithKeys(entry('ann', 'role: user'));
      const { page, faults } = await open(fleet.url, width, scheme);
      await page.getByLabel('API key').waitFor();
      expect(await axeViolations(page)).toEqual([]);
      // A word processor made the quote.
      await login(page, 'the-key-of-ann’s');
      await see(page, /The key has the character “’”/);
      expect(await axeViolations(page)).toEqual([]);
      expect(await page.title()).toBe('Log in · shoal');
      await login(page, secret('ann'));
      await see(page, 'key of a user');
      expect(faults).toEqual([]);
    });

    it('asks for a key again, and breaks nothing, when the key is taken back', async () => {
      const others = entry('bea', 'role: user');
      const { fleet, write } = await fleetWithKeys(entry('ann', 'role: operator') + others);
      const { page, faults } = await open(fleet.url);
      await login(page, secret('ann'));
      await see(page, '1/1 serving');
      write(others);
      await see(page, 'This key is not known here.');
      await login(page, secret('bea'));
      await see(page, 'key of a user');
      expect(faults).toEqual([]);
    });

    it('costs a key one request for an answer, and says what keeps its colours away', async () => {
      const { fleet } = await fleetWithKeys(entry('ann', 'role: user, limits: { requests_per_minute: 1, burst: 2 }'));
      const { page } = await open(`${fleet.url}/#chat`);
      await login(page, secret('ann'));
      await see(page, 'key of a user');
      for (const count of [1, 2]) {
        await click(page, 'Send');
        await page
          .getByText('First token after')
          .nth(count - 1)
          .waitFor(PATIENCE);
      }
      expect(await page.getByRole('alert').allTextContents()).toEqual([]);
      await page.getByText('The prompt as the model saw it').first().click();
      await page.locator('details').getByRole('alert').waitFor();
      await page.getByRole('button', { name: 'Try again' }).waitFor();
      // The fleet has one worker, and says so.
      await visit(page, 'Ring');
      await see(page, 'Only one worker serves, so there is no other one to ask.');
    });

    it('shows with a range the numbers of that range', async () => {
      const fleet = await Fleet.up(['--workers', '1']);
      onTestFinished(async () => void (await fleet.stop()));
      await fleet.complete({ prompt: NOTES, max_tokens: 4 });
      const { page, faults } = await open(`${fleet.url}/#metrics`);
      await page.getByText(/^Now: blocks [1-9]/).waitFor({ state: 'attached' });
      // A range before the fleet began.
      await click(page, 'Earlier');
      await click(page, 'Earlier');
      await page.getByText('No values in this time: blocks –, lack a copy –').waitFor({ state: 'attached' });
      const legend = page
        .locator('.plot', { has: page.getByRole('heading', { name: 'Blocks', exact: true }) })
        .locator('.u-legend');
      expect((await legend.textContent())?.replace(/\s+/g, '')).toMatch(/blocks:?–lackacopy:?–$/);
      expect(faults).toEqual([]);
    });
  },
);
