import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readConsoleFiles } from '../../coordinator/console/console-files.js';
import { packageRoot } from '../../src/config/package-root.js';
import type { Browsers } from './browsers.js';

/** Measures how soon a reader sees the console of a coordinator on the same machine, and how much there is to load. */

export interface FirstPaint {
  readonly rounds: number;
  /** Milliseconds from the beginning of the navigation. */
  readonly first_contentful_paint_ms: Spread;
  /** Until the page shows the fleet, not just its frame. */
  readonly fleet_shown_ms: Spread;
  /** All files of the page, each compressed by itself. */
  readonly compressed_bytes: number;
}

interface Spread {
  readonly median: number;
  readonly longest: number;
}

/** Each round is a reader of its own, without a cache. The first one also starts what the browser starts once, and counts for nothing. */
export async function firstPaint(browsers: Browsers, url: string, rounds: number): Promise<FirstPaint> {
  const paints: number[] = [];
  const shown: number[] = [];
  for (let i = 0; i <= rounds; i++) {
    const page = await browsers.page(url);
    await page.locator('.arc').first().waitFor();
    const [paint, fleet] = (await page.evaluate(`[
      performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
      performance.now(),
    ]`)) as [number, number];
    await page.context().close();
    if (i === 0) continue;
    paints.push(paint);
    shown.push(fleet);
  }
  const files = [...readConsoleFiles(join(packageRoot(), 'dist', 'console')).values()];
  return {
    rounds,
    first_contentful_paint_ms: spreadOf(paints),
    fleet_shown_ms: spreadOf(shown),
    compressed_bytes: files.reduce((sum, { text }) => sum + gzipSync(text).length, 0),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: Math.round(sorted[sorted.length >> 1] ?? 0), longest: Math.round(sorted.at(-1) ?? 0) };
}
