import { type Browser, chromium, type Page } from 'playwright-core';

/** Pages of the console in Debian's Chromium. The only file that imports playwright-core. */

export const CHROMIUM = '/usr/bin/chromium';

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: 'dark' | 'light';
}

export type ConsolePage = Page;

export class Browsers {
  private constructor(private readonly browser: Browser) {}

  /** Starts Chromium. Rejects if it is not installed: `apt-get install chromium`. */
  static async open(): Promise<Browsers> {
    // Chromium's sandbox does not run as root; the pages are our own.
    return new Browsers(await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }));
  }

  /** A page of its own, as of a reader who opens the console for the first time. */
  async page(url: string, { width = 1440, height = 900, theme = 'light' }: PageOptions = {}): Promise<ConsolePage> {
    const context = await this.browser.newContext({ viewport: { width, height }, colorScheme: theme });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(url);
    return page;
  }

  close(): Promise<void> {
    return this.browser.close();
  }
}
