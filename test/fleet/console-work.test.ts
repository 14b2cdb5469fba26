import { existsSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CHROMIUM, click, PATIENCE, see, useBrowser, visit } from './support/console-browser.js';
import { Fleet } from './support/fleet.js';

/** What a reader starts in the console, and what comes of it, over a real fleet. */

const LONG = { timeout: 300_000 };

describe.skipIf(!existsSync(CHROMIUM))(
  `work in the console (skipped without ${CHROMIUM}: apt-get install chromium)`,
  LONG,
  () => {
    const open = useBrowser();

    it('goes on while its page is left, is kept, and can be stopped from other pages', async () => {
      const fleet = await Fleet.up(['--workers', '2', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(`${fleet.url}/#chat`);
      await click(page, 'Send');
      await see(page, 'First token after');
      await page.getByRole('textbox', { name: 'Question' }).fill('Where is the plum lamp?');
      await page.getByLabel('Longest answer').selectOption('1024');
      await page.getByLabel('Do not stop early').check();
      await click(page, 'Send');
      await page.locator('.said').first().filter({ hasText: /\w/ }).waitFor(PATIENCE);
      await page.getByRole('textbox', { name: 'Question' }).fill('Where is the teal chest?');

      await visit(page, 'Ring');
      await click(page, 'Keep asking');
      await see(page, /[1-9]\d* answers? right/);
      await visit(page, 'Metrics');
      await click(page, 'Stop the answer');
      const asking = page.getByRole('button', { name: 'Stop asking' });
      await asking.waitFor(PATIENCE);
      const countTitle = () => asking.getAttribute('title');
      const before = await countTitle();
      await expect.poll(countTitle, PATIENCE).not.toBe(before);
      await asking.click();
      await asking.waitFor({ ...PATIENCE, state: 'detached' });
      await fleet.until((workers) => workers.every(({ running }) => running === 0));

      await visit(page, 'Ring');
      await see(page, /[1-9]\d* answers? right, 0 wrong, 0 failed\. Of \d[\d,]* tokens, 0 were wrong\./);
      await page.getByRole('button', { name: 'Keep asking' }).waitFor(PATIENCE);
      await visit(page, 'Chat');
      expect(await page.locator('.asked').allTextContents()).toEqual([
        'Where is the plum lamp?',
        'Where is the amber key?',
      ]);
      await see(page, 'stopped');
      expect(await page.getByRole('textbox', { name: 'Question' }).inputValue()).toBe('Where is the teal chest?');
      expect(await page.getByLabel('Longest answer').inputValue()).toBe('1024');
      expect(faults).toEqual([]);
    });

    it('tells at every coordinator of a fault that was ordered at one', async () => {
      const fleet = await Fleet.up(['--workers', '1', '--coordinators', '2', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.ready.coordinators[1]!.url);
      await see(page, '1 worker serves.');
      expect((await fleet.post('/v1/fleet/workers/worker-1/slow', { seconds: 20 })).status).toBe(200);
      await see(page, /Now: an operator slowed worker-1 down for 20 s; \d+ seconds? left\./);
      expect(faults).toEqual([]);
    });

    it('makes corrupt blocks noticed while it asks, and says so where none was sent', async () => {
      const fleet = await Fleet.up(['--workers', '3', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.url);
      const corrupt = async (worker: string, seconds: string) => {
        await page.getByLabel('Worker to disturb').selectOption(worker);
        await page.getByLabel(/^For/).selectOption(seconds);
        await click(page, 'Corrupt blocks of the chosen worker');
        await page.locator('.confirm .primary', { hasText: `Corrupt blocks of ${worker}` }).click();
      };
      await corrupt('worker-1', '2');
      await see(page, 'So far no other worker has been sent a block of worker-1.');
      await see(page, 'No other worker was sent a block of worker-1, so none was refused.');
      await click(page, 'Keep asking');
      // By now, each worker has all the K/V of the questions that were asked first.
      await see(page, /\d{3} answers right/);
      for (const worker of ['worker-1', 'worker-2', 'worker-3']) {
        await corrupt(worker, '5');
        await see(page, new RegExp(`noticed the wrong bytes, and refused the blocks of ${worker}\\.`));
      }
      await see(page, /answers right, 0 wrong, 0 failed/);
      expect(faults).toEqual([]);
    });
  },
);
