import type { Browsers } from './browsers.js';
import { SimulatedFeed } from './simulated-feed.js';

/** Measures the memory of an open page during minutes of load, which may pass faster than they would. */

/** Until everything that the page keeps is as full as it gets. */
const FILLING_MINUTES = 2;

export interface MemoryOptions {
  readonly workers: number;
  /** Requests a second of simulated time. */
  readonly rate: number;
  /** Simulated minutes, and how many times as fast they pass. */
  readonly minutes: number;
  readonly speed: number;
}

export interface PageMemory extends MemoryOptions {
  /** JavaScript memory in use after a garbage collection, after each simulated minute. */
  readonly heap_mb: readonly number[];
  /** From the minute in which all stores are full to the last one. */
  readonly growth_percent: number;
}

export async function pageMemory(browsers: Browsers, options: MemoryOptions): Promise<PageMemory> {
  const { workers, rate, minutes, speed } = options;
  const server = await SimulatedFeed.start({ workers, rate, speed });
  try {
    const page = await browsers.page(server.url);
    await page.getByText(`${workers}/${workers} serving`).waitFor();
    const inspector = await page.context().newCDPSession(page);
    const heap: number[] = [];
    for (let minute = 1; minute <= minutes; minute++) {
      await page.waitForTimeout(60_000 / speed);
      await inspector.send('HeapProfiler.collectGarbage');
      const { usedSize } = await inspector.send('Runtime.getHeapUsage');
      heap.push(Math.round(usedSize / 2 ** 14) / 64);
    }
    const full = heap[Math.min(FILLING_MINUTES, heap.length) - 1] ?? 1;
    return { ...options, heap_mb: heap, growth_percent: Math.round(1_000 * ((heap.at(-1) ?? full) / full - 1)) / 10 };
  } finally {
    await server.stop();
  }
}
