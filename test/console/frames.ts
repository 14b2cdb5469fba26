import type { Browsers, ConsolePage } from './browsers.js';
import { SimulatedFeed, type SimulatedFeedOptions } from './simulated-feed.js';

/** Measures how smoothly the ring is drawn while many requests travel over it. */

/** Until the picture is full of requests. */
const WARM_UP_MS = 3_000;
/** A frame of a screen with 60 of them a second, with room for the jitter of its clock. */
const FRAME_MS = 1_000 / 60 + 2;

export interface FrameOptions extends SimulatedFeedOptions {
  /** Rounds of both pages in turn, so that what else the machine does slows down both. */
  readonly rounds: number;
  /** Of one page in one round. */
  readonly seconds: number;
}

/** Numbers of the round that is the middle one by its frames a second. */
export interface FrameTimes {
  readonly workers: number;
  readonly requests_per_second: number;
  readonly page: PageFrames;
  /** A page that draws nothing, in the same browser: the most that this machine can show. */
  readonly empty_page: PageFrames;
}

interface PageFrames {
  readonly frames_per_second: number;
  readonly frame_ms: { readonly p50: number; readonly p95: number; readonly p99: number; readonly longest: number };
  /** Share of frames that came later than a screen with 60 frames a second would show them. */
  readonly late_share: number;
  /** Time of the page's own script for a frame. */
  readonly script_ms: { readonly p50: number; readonly p99: number };
  /** Processor time of the page's main thread for a frame: it does not depend on what else the machine does. */
  readonly main_thread_ms: number;
}

export async function frameTimes(browsers: Browsers, options: FrameOptions): Promise<FrameTimes> {
  const { rounds, seconds, ...feed } = options;
  const server = await SimulatedFeed.start(feed);
  try {
    const [empty, console]: [PageFrames[], PageFrames[]] = [[], []];
    for (let i = 0; i < rounds; i++) {
      empty.push(await framesOf(await browsers.page('about:blank'), seconds));
      const page = await browsers.page(server.url);
      await page.getByText(`${feed.workers}/${feed.workers} serving`).waitFor();
      await page.waitForTimeout(WARM_UP_MS);
      console.push(await framesOf(page, seconds));
    }
    return {
      ...{ workers: feed.workers, requests_per_second: feed.rate },
      ...{ page: middleOf(console), empty_page: middleOf(empty) },
    };
  } finally {
    await server.stop();
  }
}

/** Measures the page, and closes it. */
async function framesOf(page: ConsolePage, seconds: number): Promise<PageFrames> {
  const inspector = await page.context().newCDPSession(page);
  await inspector.send('Performance.enable');
  const threadMs = async () => {
    const { metrics } = await inspector.send('Performance.getMetrics');
    return 1_000 * metrics.find(({ name }) => name === 'ThreadTime')!.value;
  };
  const begun = await threadMs();
  const { gaps, scripts } = await measure((script) => page.evaluate(script), seconds);
  const spent = (await threadMs()) - begun;
  await page.context().close();
  const at = (values: readonly number[], share: number) =>
    round(values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0);
  return {
    frames_per_second: rateOf(gaps),
    frame_ms: { p50: at(gaps, 0.5), p95: at(gaps, 0.95), p99: at(gaps, 0.99), longest: at(gaps, 1) },
    late_share: round(gaps.filter((ms) => ms > FRAME_MS).length / Math.max(1, gaps.length)),
    script_ms: { p50: at(scripts, 0.5), p99: at(scripts, 0.99) },
    main_thread_ms: round(spent / Math.max(1, gaps.length)),
  };
}

function middleOf(rounds: readonly PageFrames[]): PageFrames {
  return rounds.toSorted((a, b) => a.frames_per_second - b.frames_per_second)[rounds.length >> 1]!;
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
