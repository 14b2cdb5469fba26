import type { Browsers } from './browsers.js';
import { SimulatedFeed, type SimulatedFeedOptions } from './simulated-feed.js';

/** Measures how smoothly the ring is drawn while many requests travel over it. */

/** Until the picture is full of requests. */
const WARM_UP_MS = 3_000;
/** A frame of a screen with 60 of them a second, with room for the jitter of its clock. */
const FRAME_MS = 1_000 / 60 + 2;

export interface FrameTimes {
  readonly workers: number;
  readonly requests_per_second: number;
  readonly frames_per_second: number;
  readonly frame_ms: { readonly p50: number; readonly p95: number; readonly p99: number; readonly longest: number };
  /** Of a page that draws nothing, in the same browser: the most that this machine can show. */
  readonly empty_page_frames_per_second: number;
  /** Share of frames that came later than a screen with 60 frames a second would show them. */
  readonly late_share: number;
  /** Time of the page's own script for a frame. */
  readonly script_ms: { readonly p50: number; readonly p99: number };
}

export async function frameTimes(
  browsers: Browsers,
  { seconds, ...feed }: SimulatedFeedOptions & { readonly seconds: number },
): Promise<FrameTimes> {
  const server = await SimulatedFeed.start(feed);
  try {
    const empty = await browsers.page('about:blank');
    const most = await measure((script) => empty.evaluate(script), seconds / 2);
    await empty.context().close();
    const page = await browsers.page(server.url);
    await page.getByText(`${feed.workers}/${feed.workers} serving`).waitFor();
    await page.waitForTimeout(WARM_UP_MS);
    const { gaps, scripts } = await measure((script) => page.evaluate(script), seconds);
    const at = (values: readonly number[], share: number) =>
      round(values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0);
    return {
      workers: feed.workers,
      requests_per_second: feed.rate,
      frames_per_second: rateOf(gaps),
      frame_ms: { p50: at(gaps, 0.5), p95: at(gaps, 0.95), p99: at(gaps, 0.99), longest: at(gaps, 1) },
      empty_page_frames_per_second: rateOf(most.gaps),
      late_share: round(gaps.filter((ms) => ms > FRAME_MS).length / Math.max(1, gaps.length)),
      script_ms: { p50: at(scripts, 0.5), p99: at(scripts, 0.99) },
    };
  } finally {
    await server.stop();
  }
}

interface Measured {
  /** Milliseconds from one frame to the next. */
  readonly gaps: number[];
  /** Milliseconds from the beginning of a frame to the end of its callbacks. */
  readonly scripts: number[];
}

/** Runs in the page. A message that a frame posts to itself arrives after all callbacks of that frame. */
function measure(run: (script: string) => Promise<unknown>, seconds: number): Promise<Measured> {
  return run(`new Promise((resolve) => {
    const gaps = [], scripts = [];
    const until = performance.now() + ${1_000 * seconds};
    const { port1, port2 } = new MessageChannel();
    let last = null, begun = 0;
    port1.onmessage = () => scripts.push(performance.now() - begun);
    const frame = (at) => {
      begun = performance.now();
      if (last !== null) gaps.push(at - last);
      last = at;
      port2.postMessage(0);
      if (begun < until) requestAnimationFrame(frame);
      else resolve({ gaps, scripts });
    };
    requestAnimationFrame(frame);
  })`) as Promise<Measured>;
}

function rateOf(gaps: readonly number[]): number {
  return round(
    (1_000 * gaps.length) /
      Math.max(
        1,
        gaps.reduce((sum, ms) => sum + ms, 0),
      ),
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
