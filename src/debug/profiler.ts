import { Session } from 'node:inspector/promises';
import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import type { Clock } from '../clock.js';
import { InvalidRequest, Overloaded } from '../errors.js';

/**
 * Profiles of this process for operators. They have the names of functions, places in files, sizes and times. They have no strings of the heap, where prompts
 * and secrets are: that is why there is no heap snapshot, which would also stop the process while it is written.
 */

const PROFILE_KINDS = ['cpu', 'heap', 'loop'] as const;

export interface ProfileRequest {
  readonly kind: (typeof PROFILE_KINDS)[number];
  readonly ms: number;
}

const DEFAULT_SECONDS = 10;
const MOST_SECONDS = 60;
/** Time between two samples of the processor. */
const SAMPLE_US = 1_000;
/** Average bytes between two sampled allocations. */
const SAMPLE_BYTES = 32_768;
/** Time between two looks at the delay of the event loop. */
const LOOP_RESOLUTION_MS = 10;

/** A request from the query of a URL: `kind=cpu&seconds=10`. @throws InvalidRequest */
export function profileRequest(query: URLSearchParams): ProfileRequest {
  const named = query.get('kind') ?? 'cpu';
  const kind = PROFILE_KINDS.find((each) => each === named);
  if (kind === undefined) throw new InvalidRequest(`kind: must be one of ${PROFILE_KINDS.join(', ')}`, 'kind');
  const text = query.get('seconds') ?? String(DEFAULT_SECONDS);
  const seconds = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > MOST_SECONDS) {
    throw new InvalidRequest(`seconds: must be a whole number from 1 to ${MOST_SECONDS}`, 'seconds');
  }
  return { kind, ms: seconds * 1_000 };
}

/** Takes one profile at a time. */
export class Profiler {
  private busy = false;

  constructor(private readonly clock: Clock) {}

  /**
   * A profile of the time from now on. `cpu`: for Chrome's developer tools, as a `.cpuprofile`. `heap`: the live allocations, by the functions
   * that made them, as a `.heapprofile`, with the statistics of the heap. `loop`: how late the event loop is, in milliseconds.
   * If `signal` aborts, the profile ends early.
   * @throws Overloaded while another one is taken
   */
  async take({ kind, ms }: ProfileRequest, signal: AbortSignal): Promise<object> {
    if (this.busy) throw new Overloaded('another profile of this process is being taken; retry when it is done');
    this.busy = true;
    try {
      const pass = () => this.pass(ms, signal);
      if (kind === 'loop') return await loopProfile(pass);
      return kind === 'cpu' ? await cpuProfile(pass) : await heapProfile(pass);
    } finally {
      this.busy = false;
    }
  }

  private pass(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const timer = this.clock.after(ms, resolve);
      signal.addEventListener('abort', () => {
        timer.cancel();
        resolve();
      });
    });
  }
}

async function cpuProfile(pass: () => Promise<void>): Promise<object> {
  return withInspector(async (session) => {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
    await session.post('Profiler.start');
    await pass();
    return (await session.post('Profiler.stop')).profile;
  });
}

async function heapProfile(pass: () => Promise<void>): Promise<object> {
  return withInspector(async (session) => {
    await session.post('HeapProfiler.startSampling', { samplingInterval: SAMPLE_BYTES });
    await pass();
    const { profile } = await session.post('HeapProfiler.stopSampling');
    return { ...profile, heap: getHeapStatistics(), spaces: getHeapSpaceStatistics(), memory: process.memoryUsage() };
  });
}

async function withInspector(use: (session: Session) => Promise<object>): Promise<object> {
  const session = new Session();
  session.connect();
  try {
    return await use(session);
  } finally {
    session.disconnect();
  }
}

async function loopProfile(pass: () => Promise<void>): Promise<object> {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  const before = performance.eventLoopUtilization();
  delay.enable();
  await pass();
  delay.disable();
  const { utilization } = performance.eventLoopUtilization(before);
  return { utilization, resolution_ms: LOOP_RESOLUTION_MS, delay_ms: millisecondsOf(delay) };
}

function millisecondsOf(delay: IntervalHistogram): Record<string, number> {
  const inMs = (ns: number) => (Number.isFinite(ns) ? ns / 1e6 : 0);
  const percentiles = [50, 90, 99, 99.9].map((p) => [`p${p}`, inMs(delay.percentile(p))]);
  const { min, mean, max, count } = delay;
  // Without a sample the least is the greatest number there is.
  return {
    count,
    min: count === 0 ? 0 : inMs(min),
    mean: inMs(mean),
    max: inMs(max),
    ...Object.fromEntries(percentiles),
  };
}
