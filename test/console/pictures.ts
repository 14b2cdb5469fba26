import { writeFileSync } from 'node:fs';
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
const LOOKS = SIZES.flatMap((size) => THEMES.map((theme) => ({ size, theme })));
/** The pages other than the ring. */
const FEW_LOOKS = [
  { size: SIZES[0], theme: 'light' },
  { size: SIZES[1], theme: 'dark' },
] as const;
/** Requests that run at a time. */
const CONCURRENCY = 6;
/** Until plots and colours have followed a new size. */
const SETTLING_MS = 300;
/** Of the pictures, from 0 to 1. */
const QUALITY = 0.8;
const PAGES = ['requests', 'metrics', 'chat', 'explain', 'workers', 'cache', 'actors', 'tenants'] as const;

interface Look {
  readonly size: (typeof SIZES)[number];
  readonly theme: (typeof THEMES)[number];
}

/** Writes `<state>-<width>-<theme>.webp` for each state of the ring, and two such pictures of each other page. */
export async function takePictures(browsers: Browsers, fleet: UpFleet, folder: string): Promise<void> {
  const page = await browsers.page(fleet.url);
  const press = await browsers.page('about:blank');
  const take = (name: string, looks: readonly Look[] = LOOKS) =>
    takeAll(page, press, looks, (look) => join(folder, `${name}-${look}.webp`));
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
  // The worker may be back before all pictures are taken.
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await take('dying');
  await page.getByRole('button', { name: 'Live', exact: true }).click();
  await see('worker-2 came back as a new process');
  await see('4/4 serving');
  const failures = await load.stop();
  if (failures > 0) process.stderr.write(`${failures} requests failed\n`);
  await take('healed');
  for (const name of PAGES) {
    await openPage(page, name);
    await take(name, FEW_LOOKS);
  }
}

/** A picture in each look. One page after the other: several at a time would keep each other waiting. */
async function takeAll(
  page: ConsolePage,
  press: ConsolePage,
  looks: readonly Look[],
  pathOf: (look: string) => string,
): Promise<void> {
  const shots: { readonly png: Buffer; readonly path: string }[] = [];
  for (const { size, theme } of looks) {
    await page.setViewportSize(size);
    const chosen = page.getByRole('button', { name: theme === 'dark' ? 'Dark' : 'Light', exact: true });
    if (await chosen.isVisible()) await chosen.click();
    await page.waitForTimeout(SETTLING_MS);
    shots.push({ png: await page.screenshot(), path: pathOf(`${size.width}-${theme}`) });
  }
  await page.setViewportSize(SIZES[0]);
  for (const { png, path } of shots) writeFileSync(path, await webp(press, png));
}

/** The picture in a fraction of the bytes. Chromium can write this format, and takes pictures in others alone. */
async function webp(press: ConsolePage, png: Buffer): Promise<Buffer> {
  const encoded: string = await press.evaluate(`(async () => {
    const picture = new Image();
    picture.src = 'data:image/png;base64,${png.toString('base64')}';
    await picture.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return canvas.toDataURL('image/webp', ${QUALITY});
  })()`);
  return Buffer.from(encoded.slice(encoded.indexOf(',') + 1), 'base64');
}

async function openPage(page: ConsolePage, name: (typeof PAGES)[number]): Promise<void> {
  await page.locator(`nav a[href="#${name}"]`).click();
  await page.locator('main h1').first().waitFor();
  if (name === 'chat') {
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    for (const [index, next] of [/^Ask again$/, /^Ask worker-/].entries()) {
      await page.getByText('First token after').nth(index).waitFor();
      await page.getByRole('button', { name: next }).first().click();
    }
    await page.getByText('First token after').nth(2).waitFor();
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
