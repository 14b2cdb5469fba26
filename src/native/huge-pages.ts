import { readFile } from 'node:fs/promises';
import { collapsePages, residentPages } from './libc.js';

/**
 * Moves memory that a native library has allocated into huge pages. A processor keeps the physical addresses of few pages at hand, and a decode step
 * reads all weights: with pages of 4 KiB it would look up the address of nearly each one.
 */

const PAGE_BYTES = 4096;
const HUGE_PAGE_BYTES = 2 * 2 ** 20;
const PAGES_PER_HUGE_PAGE = HUGE_PAGE_BYTES / PAGE_BYTES;
/** In steps: the thread that works on one cannot be stopped. */
const STEP_HUGE_PAGES = 16;

/** Addresses of this process, from one up to another. */
export interface MemoryRange {
  readonly from: number;
  readonly to: number;
}

/** The private memory of this process that no file backs, in the order of its addresses. Empty on systems other than Linux. */
export async function privateMemory(): Promise<readonly MemoryRange[]> {
  const maps = await readFile('/proc/self/maps', 'latin1').catch(() => '');
  return maps.split('\n').flatMap((line) => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *(?:\[heap\])?$/.exec(line) ?? [];
    return from && to ? [{ from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) }] : [];
  });
}

/**
 * Moves the private memory that was added since `before` into huge pages, on threads of the pool. Leaves out whatever is not wholly in use, so that the
 * process does not grow. Contents are kept, and may be used meanwhile. Does nothing on systems that cannot (Linux before 6.1).
 * @returns the bytes that were moved, or were in huge pages before
 */
export async function collapseSince(before: readonly MemoryRange[]): Promise<number> {
  let bytes = 0;
  for (const range of withoutRanges(await privateMemory(), before)) {
    for (const { from, to } of usedHugePages(range)) {
      if (await collapsePages(from, to - from)) bytes += to - from;
    }
  }
  return bytes;
}

/** What some ranges have beyond others. Both are in order, and overlap with none of their own. @internal exported for tests */
export function withoutRanges(ranges: readonly MemoryRange[], known: readonly MemoryRange[]): MemoryRange[] {
  const left: MemoryRange[] = [];
  for (const { from, to } of ranges) {
    let at = from;
    for (const each of known) {
      if (each.to <= at || each.from >= to) continue;
      if (each.from > at) left.push({ from: at, to: each.from });
      at = each.to;
    }
    if (at < to) left.push({ from: at, to });
  }
  return left;
}

/** The parts of a range that fill huge pages and are wholly in use, at most `STEP_HUGE_PAGES` long. */
function* usedHugePages({ from, to }: MemoryRange): Iterable<MemoryRange> {
  const first = Math.ceil(from / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
  const end = Math.floor(to / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
  let start = first;
  for (let at = first; at < end; at += HUGE_PAGE_BYTES) {
    const used = residentPages(at, HUGE_PAGE_BYTES) === PAGES_PER_HUGE_PAGE;
    const next = used ? at + HUGE_PAGE_BYTES : at;
    if (start < next && (!used || next === end || next - start === STEP_HUGE_PAGES * HUGE_PAGE_BYTES)) {
      yield { from: start, to: next };
      start = next;
    }
    if (!used) start = at + HUGE_PAGE_BYTES;
  }
}
