import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

/** The console in Debian's Chromium. */

export const CHROMIUM = '/usr/bin/chromium';
/** Workers take seconds to come back on a busy machine. */
export const PATIENCE = { timeout: 60_000 };

export const PAGES = ['Ring', 'Requests', 'Metrics', 'Chat', 'Explain', 'Workers', 'Cache', 'Actors', 'Tenants'];

export type ColorScheme = 'light' | 'dark';
export type OpenConsole = (
  url: string,
  width?: number,
  colorScheme?: ColorScheme,
) => Promise<{
  readonly page: Page;
  /** What the page complains of, and asks of others. */
  readonly faults: string[];
}>;

/** A browser for the tests of the suite around; gives the way to open the console in it. */
export function useBrowser(): OpenConsole {
  let browser: Browser;
  beforeAll(async () => {
    // Chromium's sandbox does not run as root; the page is our own.
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());
  return async (url, width = 1440, colorScheme = 'light') => {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE.timeout);
    const faults: string[] = [];
    page.on('pageerror', ({ message }) => faults.push(message));
    page.on('console', (message) => {
      // A user may not see everything: the page says so.
      if (message.type() === 'error' && !/40[13]/.test(message.text())) faults.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith('data:'))
        faults.push(request.url());
    });
    await page.goto(url);
    return { page, faults };
  };
}

export const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
export const see = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor(PATIENCE);
export const visit = (page: Page, name: string) => page.locator('nav').getByRole('link', { name, exact: true }).click();
