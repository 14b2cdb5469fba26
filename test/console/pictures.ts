import { join } from 'node:path';
import type { UpFleet } from '../../bench/fleet/up-fleet.js';
import type { Browsers, ConsolePage } from './browsers.js';
import { Load } from './load.js';

/** Takes the pictures of the docs: the console over a real fleet, in the states that it goes through. */

const SIZES = [
  { width: 1440, height: 900 },
  { width: 360, height: 780 },
] as const;
const THEMES = ['light', 'dark'] as const;
/** Requests that run at a time. */
const CONCURRENCY = 6;
/** Until plots and colours have followed a new size. */
const SETTLING_MS = 300;
const PAGES = ['requests', 'metrics', 'chat', 'explain', 'workers', 'cache', 'actors', 'tenants'] as const;

/** Writes `<state>-<width>-<theme>.png` for each state of the ring, and the same of each other page. */
export async function takePictures(browsers: Browsers, fleet: UpFleet, folder: string): Promise<void> {
  const page = await browsers.page(fleet.url);
  const take = (name: string) => takeAll(page, (look) => join(folder, `${name}-${look}.png`));
  const see = (text: string | RegExp) => page.getByText(text).first().waitFor({ timeout: 120_000 });
  await see('It is empty');
  await take('idle');
  const load = new Load(fleet, CONCURRENCY, 48);
  await see(/[1-9]\d* blocks of 64 tokens/);
  await page.waitForTimeout(4_000);
  await take('load');
  await page.getByRole('button', { name: 'Kill worker-2', exact: true }).click();
  await page.locator('.confirm .primary').click();
  await see(/worker-2 is dead/);
  await take('dying');
  await see('worker-2 came back as a new process');
  await see('4/4 serving');
  const failures = await load.stop();
  if (failures > 0) process.stderr.write(`${failures} requests failed\n`);
  await take('healed');
  for (const name of PAGES) {
    await openPage(page, name);
    await take(name);
  }
}

/** A picture in each size and theme. One page after the other: several at a time would keep each other waiting. */
async function takeAll(page: ConsolePage, pathOf: (look: string) => string): Promise<void> {
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const theme of THEMES) {
      const chosen = page.getByRole('button', { name: theme === 'dark' ? 'Dark' : 'Light', exact: true });
      if (await chosen.isVisible()) await chosen.click();
      await page.waitForTimeout(SETTLING_MS);
      await page.screenshot({ path: pathOf(`${size.width}-${theme}`) });
    }
  }
  await page.setViewportSize(SIZES[0]);
}

async function openPage(page: ConsolePage, name: (typeof PAGES)[number]): Promise<void> {
  await page.locator(`nav a[href="#${name}"]`).click();
  await page.locator('main h1').first().waitFor();
  if (name === 'chat') {
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('First token after').first().waitFor();
  }
  if (name === 'explain') {
    await page.getByRole('button', { name: 'Explain', exact: true }).click();
    await page.locator('tbody tr').first().waitFor();
  }
  if (name === 'metrics') await page.locator('.plot canvas').first().waitFor();
  if (name === 'requests') {
    await page.getByLabel('Show').selectOption('hour');
    await page.locator('.waterfall .row').first().click();
  }
}
