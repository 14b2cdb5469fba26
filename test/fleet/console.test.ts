import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Fleet } from './support/fleet.js';

/** The console over a real fleet, in Debian's Chromium. */

const CHROMIUM = '/usr/bin/chromium';
const [ANN, BEA] = ['key-of-ann-with-enough-characters', 'key-of-bea-with-enough-characters'];
/** Workers take seconds to come back on a busy machine. */
const PATIENCE = { timeout: 60_000 };

describe.skipIf(!existsSync(CHROMIUM))(
  `the console in a browser (skipped without ${CHROMIUM}: apt-get install chromium)`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      // Chromium's sandbox does not run as root; the page is our own.
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    });
    afterAll(() => browser?.close());

    /** Opens the console. What the page complains of, and asks of others, is gathered in `faults`. */
    async function open(url: string, width = 1440) {
      const context = await browser.newContext({ viewport: { width, height: 900 } });
      onTestFinished(() => context.close());
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE.timeout);
      const faults: string[] = [];
      page.on('pageerror', ({ message }) => faults.push(message));
      page.on('console', (message) => {
        if (message.type() === 'error' && !message.text().includes('401')) faults.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(request.url());
      });
      await page.goto(url);
      return { page, faults };
    }

    const textOf = (page: Page, selector: string) => page.locator(selector).first().textContent();
    const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
    const see = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor(PATIENCE);

    it('shows what an answer computed and found again, and heals before the reader’s eyes', async () => {
      const fleet = await Fleet.up(['--workers', '3', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.url);

      await see(page, '3 workers share one memory. It is empty');
      await click(page, 'Ask');
      await see(page, /worker-\d computed \d+ tokens\./);
      await click(page, 'Ask again');
      await see(page, /worker-\d found 512 tokens in its own memory/);
      expect(await page.getByText('Answer: The amber key is in the harbor.').count()).toBe(2);

      await page.getByRole('link', { name: 'Requests' }).click();
      await page.locator('.waterfall .row').nth(1).click();
      await see(page, /Placed on worker-\d/);

      await page.getByRole('link', { name: 'Chat' }).click();
      await click(page, 'Send');
      await see(page, 'First token after');
      await page.getByText('The prompt as the model saw it').click();
      expect(await textOf(page, 'pre.prompt')).toContain('The amber key is in the harbor.');

      await page.getByRole('link', { name: 'Metrics' }).click();
      await see(page, 'Prompt tokens by source');
      await page.locator('.plot canvas').first().waitFor();

      await page.getByRole('link', { name: 'Ring' }).click();
      await click(page, 'Kill worker-2');
      await page.locator('.confirm .primary').click();
      await see(page, 'worker-2 is dead: its requests continue on other workers');
      await see(page, 'worker-2 came back as a new process');
      await see(page, '3/3 serving');
      await click(page, 'Drain worker-3');
      await page.locator('.confirm .primary').click();
      await click(page, 'Undrain worker-3');
      await page.locator('.confirm .primary').click();
      await page.getByRole('button', { name: 'Drain worker-3', exact: true }).waitFor(PATIENCE);
      expect(faults).toEqual([]);
    });

    it('asks for a key, and lets a user look but not act, on a small screen too', async () => {
      const fleet = await Fleet.up(['--workers', '1'], { SHOAL_API_KEYS: `${ANN},${BEA}` });
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.url, 360);
      await page.getByLabel('API key').fill('a-key-that-nobody-has-given');
      await click(page, 'Open');
      await see(page, /unknown API key/);
      await page.getByLabel('API key').fill(ANN!);
      await click(page, 'Open');
      await see(page, '1 worker serves.');
      await see(page, 'read-only');
      expect(await page.getByRole('button', { name: /Drain|Kill/ }).count()).toBe(0);
      for (const name of ['Ring', 'Requests', 'Metrics', 'Chat']) {
        await page.getByRole('link', { name, exact: true }).first().click();
        await page.locator('main h1, main h2').first().waitFor();
        expect([name, await page.evaluate('document.documentElement.scrollWidth')]).toEqual([name, 360]);
      }
      expect(await page.evaluate('document.cookie + localStorage.length + location.href')).not.toContain(ANN);
      await click(page, 'Log out');
      await page.getByLabel('API key').waitFor();
      expect(faults).toEqual([]);
    });
  },
);
