import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Prefixes } from '../../bench/chaos/prefixes.js';
import { readConsoleFiles } from '../../coordinator/console/console-files.js';
import { packageRoot } from '../../src/config/package-root.js';
import { CHROMIUM, click, PAGES, PATIENCE, see, useBrowser } from './support/console-browser.js';
import { Fleet } from './support/fleet.js';

/** The console over a real fleet, in Debian's Chromium. */

const [ANN, BEA] = ['key-of-ann-with-enough-characters', 'key-of-bea-with-enough-characters'];
const LONG = { timeout: 600_000 };

/** All files of the page, compressed. */
const PAGE_BYTES = 250_000;

describe('the files of the console', () => {
  it('are light', () => {
    const files = [...readConsoleFiles(join(packageRoot(), 'dist', 'console')).values()];
    expect(files.length).toBeGreaterThan(2);
    const bytes = files.reduce((sum, { text }) => sum + gzipSync(text).length, 0);
    expect(bytes).toBeLessThan(PAGE_BYTES);
  });
});

describe.skipIf(!existsSync(CHROMIUM))(
  `the console in a browser (skipped without ${CHROMIUM}: apt-get install chromium)`,
  () => {
    const open = useBrowser();
    const textOf = (page: Page, selector: string) => page.locator(selector).first().textContent();

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
      await see(page, /On worker-\d\. Estimated cost/);
      await see(page, /512 tokens in the memory of worker-\d\./);
      // The homes of the new blocks get their copies, and the page shows from whom.
      await page.getByRole('region', { name: 'Table: blocks on the move' }).waitFor(PATIENCE);
      await page.locator('.copies .copy.home').first().waitFor(PATIENCE);
      await page.getByRole('region', { name: 'Table: hot segments' }).getByRole('button').first().click();
      expect(await page.locator('.cells .ringed').getAttribute('d')).toContain('a');

      await page.getByRole('link', { name: 'Requests' }).click();
      await page.locator('.waterfall .row').nth(1).click();
      await see(page, /Placed on worker-\d/);

      await page.getByRole('link', { name: 'Chat' }).click();
      await click(page, 'Send');
      await see(page, 'First token after');
      await click(page, 'Ask again');
      await see(page, /An earlier answer to the same prompt, computed from nothing, took/);
      await page.getByText('The prompt as the model saw it').first().click();
      expect(await textOf(page, 'pre.prompt')).toContain('The amber key is in the harbor.');

      await page.getByRole('link', { name: 'Metrics' }).click();
      await see(page, 'Prompt tokens by source');
      await page.locator('.plot canvas').first().waitFor();
      for (const title of ['Time between tokens', 'Bytes moved', 'Evictions', 'Audits'])
        await page.getByRole('heading', { name: title, exact: true }).waitFor();
      // The copies of the blocks are among the bytes that moved.
      await page.getByText(/^Now: fetched [\d.]+ \S+\/s, copied/).waitFor({ state: 'attached' });
      await click(page, 'Earlier');
      await see(page, 'Choose a range to be live again.');

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

    it(
      'disturbs a fleet that is asked without a pause, and counts no answer that is wrong or fails',
      LONG,
      async () => {
        const fleet = await Fleet.up(['--workers', '3', '--allow-chaos']);
        onTestFinished(async () => void (await fleet.stop()));
        const { page, faults } = await open(fleet.url);
        /** Right answers, wrong ones, and failed requests. */
        const counts = async () => {
          const text = (await page.textContent('body')) ?? '';
          const [, ...numbers] = /([\d,]+) answers? right, ([\d,]+) wrong, ([\d,]+) failed/.exec(text) ?? [
            '',
            '0',
            '0',
            '0',
          ];
          return numbers.map((number) => Number(number.replaceAll(',', '')));
        };
        /** Resolves when so many more answers have come. */
        const answered = async (more: number) => {
          const [before = 0] = await counts();
          await expect.poll(async () => (await counts())[0], LONG).toBeGreaterThanOrEqual(before + more);
        };
        const disturb = async (fault: string, label: string) => {
          await click(page, fault);
          await page.locator('.confirm .primary', { hasText: label }).click();
          await answered(20);
        };

        await click(page, 'Keep asking');
        await answered(20);
        await page.getByLabel('Worker to disturb').selectOption('worker-2');
        await disturb('Pause the chosen worker', 'Pause worker-2');
        await disturb('Stop NATS', 'Stop NATS');
        await page.getByLabel('Worker to disturb').selectOption('worker-1');
        await disturb('Slow down the chosen worker', 'Slow down worker-1');
        await disturb('Kill the chosen worker', 'Kill worker-1');
        await see(page, '3/3 serving');
        await page.getByLabel('Worker to disturb').selectOption('worker-3');
        await page.getByLabel(/^For/).selectOption('20');
        await disturb('Cut off the chosen worker', 'Cut off worker-3');
        await see(page, 'worker-3 is dead: its requests continue on other workers');
        await see(page, 'worker-3 is back: the same process, with its blocks');
        await see(page, '3/3 serving');
        await answered(20);
        expect((await counts()).slice(1)).toEqual([0, 0]);
        expect(faults).toEqual([]);
      },
    );

    it('shows that corrupt blocks are refused, by whom and of whom, and that no answer is wrong', async () => {
      const fleet = await Fleet.up(['--workers', '2', '--replicas', '1', '--fetch', 'always', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const prefixes = await Prefixes.compute(fleet, 12, { seed: 10_000, worker: 'worker-1' });
      const homes = await Promise.all(prefixes.prompts.map(({ prompt }) => fleet.blocks(prompt)));
      const [alone] = prefixes.prompts.filter((_, i) => homes[i]!.every((block) => block.homes[0] === 'worker-1'));
      const { page, faults } = await open(fleet.url);
      await page.getByLabel('Worker to disturb').selectOption('worker-1');
      await page.getByLabel(/^For/).selectOption('20');
      await click(page, 'Corrupt blocks of the chosen worker');
      await page.locator('.confirm .primary', { hasText: 'Corrupt blocks of worker-1' }).click();
      await fleet.until(() => fleet.log.includes('begins a fault by order'));
      // Nobody has pushed these blocks to worker-2.
      const { cached } = (await fleet.complete({ prompt: alone!.prompt }, { 'x-shoal-worker': 'worker-2' })).shoal;
      expect(cached.remote).toBe(0);
      expect(await prefixes.wrong('worker-2')).toBe(0);
      await see(page, 'worker-2 refused blocks of worker-1: their bytes did not match their digest');
      await page.locator('nav').getByRole('link', { name: 'Metrics' }).click();
      await see(page, 'A dashed line with its number in each plot, red where something went wrong.');
      await see(page, 'worker-2 refused blocks of worker-1');
      expect(faults).toEqual([]);
    });

    it('explains prompts, keeps and drops their blocks, and lists who asked', async () => {
      const fleet = await Fleet.up(['--workers', '2']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.url);
      const confirm = () => page.locator('.confirm .primary').click();
      const visit = (name: string) => page.locator('nav').getByRole('link', { name, exact: true }).click();
      const prompt = Array.from({ length: 40 }, (_, i) => `The amber key number ${i} is in the harbor.`).join('\n');

      await visit('Explain');
      await page.getByLabel('Prompt', { exact: true }).fill(prompt);
      await click(page, 'Explain');
      await see(page, 'no worker holds it');
      const first = await fleet.complete({ prompt, max_tokens: 1 });
      await click(page, 'Explain');
      await see(page, /It would find \d+ tokens in its own memory/);
      await see(page, /The last \d+ tokens? fill no block|fill no block/);
      await click(page, 'Compare with another prompt');
      await page
        .getByLabel('Second prompt')
        .fill(`${prompt.slice(0, 900)} But not the plum lamp. ${prompt.slice(900)}`);
      await click(page, 'Compare');
      await see(page, /They begin with the same \d+ tokens, and part at token \d+\. They share \d+ blocks?\./);

      await visit('Cache');
      await page.getByLabel('Prompt', { exact: true }).fill(prompt);
      await click(page, 'Pin');
      await see(page, 'No worker evicts them in that time.');
      await confirm();
      await see(page, /Pinned \d+ blocks\./);
      await page.getByRole('button', { name: /^Unpin pin/ }).click();
      await confirm();
      await see(page, 'Nothing is pinned.');
      await click(page, 'Purge');
      await page.getByRole('button', { name: 'Cancel' }).click();
      await click(page, 'Purge');
      await confirm();
      await see(page, /Complete: 2 workers dropped \d+ copies of \d+ blocks?\./);
      expect((await fleet.complete({ prompt, max_tokens: 1 })).shoal.cached.computed).toBe(first.shoal.cached.computed);

      await visit('Workers');
      await page.getByLabel('Filter workers').fill('worker-2');
      await see(page, '1 of 2');
      await page.getByRole('link', { name: 'requests', exact: true }).click();
      expect(await page.getByLabel('Worker').inputValue()).toBe('worker-2');
      await page.getByLabel('Worker').selectOption('');
      await page.getByLabel('Show').selectOption('hour');
      await page.locator('.waterfall .row').first().click();
      await see(page, /Placed on worker-\d/);
      await visit('Tenants');
      await see(page, 'everyone: no key is needed');
      await page.getByRole('button', { name: 'Prompt tokens' }).click();
      expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('ascending');
      await visit('Actors');
      await see(page, 'This fleet hosts no actors.');
      expect(faults).toEqual([]);
    });

    // A thousand tokens, twice: minutes on a busy machine.
    it('goes on with a chat whose worker is killed from the page, without a wrong word', LONG, async () => {
      const fleet = await Fleet.up(['--workers', '3', '--allow-chaos']);
      onTestFinished(async () => void (await fleet.stop()));
      const { page: chat, faults } = await open(`${fleet.url}/#chat`);
      const { page: ring } = await open(fleet.url);
      await ring.getByText('3/3 serving').waitFor(PATIENCE);
      await chat.getByLabel('Longest answer').selectOption('1024');
      await chat.getByLabel('Do not stop early').check();
      // As with "Ask again": the request names its worker.
      await chat.getByLabel('Worker').selectOption('worker-2');
      await click(chat, 'Send');
      const [busy] = (await fleet.until((workers) => workers.some(({ running }) => running > 0))).filter(
        ({ running }) => running > 0,
      );
      expect(busy!.id).toBe('worker-2');
      await click(ring, `Kill ${busy!.id}`);
      await ring.locator('.confirm .primary').click();
      await ring.getByText(`${busy!.id} is dead`).first().waitFor(LONG);
      const answered = async (count: number) => {
        await chat
          .getByText('First token after')
          .or(chat.getByRole('alert'))
          .nth(count - 1)
          .waitFor(LONG);
        expect(await chat.getByRole('alert').allTextContents()).toEqual([]);
      };
      await answered(1);
      const said = await textOf(chat, '.said');
      await see(chat, new RegExp(`${busy!.id} died after [\\d,]+ tokens of the answer; worker-\\d continued\\.`));
      await see(ring, `${busy!.id} died after`);
      expect(await textOf(ring, '.way')).not.toMatch(/-\d[\d.]* m?s/);
      await ring.getByText('3/3 serving').waitFor(LONG);
      // Nobody is killed this time.
      await click(chat, 'Send');
      await answered(2);
      expect(await chat.locator('.said').allTextContents()).toEqual([said, said]);

      await click(ring, 'Pause');
      const slider = ring.getByLabel('The last minute');
      await slider.fill('-10');
      expect(await slider.getAttribute('aria-valuetext')).toMatch(/^\d+ seconds ago$/);
      await click(ring, 'Live');
      expect(await slider.getAttribute('aria-valuetext')).toBe('now');
      expect(faults).toEqual([]);
    });

    it('asks for a key, and lets a user look but not act, on a small screen too', async () => {
      const fleet = await Fleet.up(['--workers', '1'], { SHOAL_API_KEYS: `${ANN},${BEA}` });
      onTestFinished(async () => void (await fleet.stop()));
      const { page, faults } = await open(fleet.url, 360);
      await page.getByLabel('API key').fill('a-key-that-nobody-has-given');
      await click(page, 'Open');
      await see(page, /This key is not known here/);
      await page.getByLabel('API key').fill(ANN!);
      await click(page, 'Open');
      await see(page, '1 worker serves.');
      await see(page, 'key of a user');
      await click(page, 'Ask');
      await see(page, /worker-1 computed \d+ tokens\./);
      // Its blocks are too few to show.
      await see(page, '1 worker serves. It keeps fewer than 64 blocks of 64 tokens.');
      await see(page, '0 blocks are fewer than 64');
      expect(await page.getByRole('button', { name: /Drain|Kill/ }).count()).toBe(0);
      expect(await page.getByText(/Hot segments|Blocks on the move/).count()).toBe(0);
      for (const name of PAGES) {
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
