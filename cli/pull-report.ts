import { formatByteSize } from '../src/byte-size.js';
import type { Clock } from '../src/clock.js';
import type { PullEvent } from '../src/hub/pull-ports.js';
import type { Io } from './context.js';
import type { Progress } from './progress.js';

/** Shows how a download goes: as a bar on a terminal, else as lines. */

const BAR_CHARS = 24;
/** Lines about the same file are at least this far apart. */
const LINE_INTERVAL_MS = 5_000;
/** Files below this size get one line, not three. */
const LARGE_BYTES = 16 * 2 ** 20;

/** A line for each thing that happens to a file, and one now and then while a large one comes. */
export class LineReport {
  private shownAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly line: (text: string) => void,
    private readonly clock: Clock,
  ) {}

  onEvent(event: PullEvent): void {
    const nowMs = this.clock.now();
    if (event.type === 'progress' && nowMs - this.shownAtMs < LINE_INTERVAL_MS) return;
    if (event.type === 'started' && event.totalBytes < LARGE_BYTES && event.doneBytes === 0) return;
    if (event.type === 'started' || event.type === 'progress') this.shownAtMs = nowMs;
    this.line(eventText(event));
  }
}

/** A bar for the present file, in place of lines of progress. @internal exported for tests. */
export class BarReport {
  private startedAtMs = 0;
  private startedBytes = 0;

  constructor(
    private readonly write: (text: string) => void,
    private readonly clock: Clock,
  ) {}

  onEvent(event: PullEvent): void {
    if (event.type === 'started') {
      this.startedAtMs = this.clock.now();
      this.startedBytes = event.doneBytes;
    }
    if (event.type === 'started' || event.type === 'progress') {
      const seconds = (this.clock.now() - this.startedAtMs) / 1000;
      const rate = seconds > 0 ? (event.doneBytes - this.startedBytes) / seconds : 0;
      this.write(`\r\x1b[K${barText(event.path, event.doneBytes, event.totalBytes, rate)}`);
    } else this.write(`\r\x1b[K  ${eventText(event)}\n`);
  }
}

/** The progress report: a bar if stderr is a terminal, else steps. */
export function pullReport(io: Io, progress: Progress, clock: Clock): { onEvent: (event: PullEvent) => void } {
  const report = process.stderr.isTTY
    ? new BarReport((text) => io.err(text), clock)
    : new LineReport((text) => progress.step('model', text), clock);
  return { onEvent: (event) => report.onEvent(event) };
}

/** @internal exported for tests. */
export function barText(path: string, doneBytes: number, totalBytes: number, bytesPerSecond: number): string {
  const share = totalBytes === 0 ? 1 : doneBytes / totalBytes;
  const full = Math.round(share * BAR_CHARS);
  const bar = '#'.repeat(full).padEnd(BAR_CHARS, '.');
  const rate = bytesPerSecond > 0 ? `  ${formatByteSize(bytesPerSecond)}/s` : '';
  return `  [${bar}] ${Math.floor(share * 100)} %  ${shown(path)}  ${formatByteSize(doneBytes)} of ${formatByteSize(totalBytes)}${rate}`;
}

/** One line for an event, for terminals and logs. */
export function eventText(event: PullEvent): string {
  if (event.type === 'from-cache') return `taking the model from the cache: ${event.why}`;
  if (event.type === 'from-fleet') return `taking the model from members of the fleet: ${shown(event.from)}`;
  if (event.type === 'without-fleet')
    return `taking the model from the hub, since the fleet cannot give it: ${event.why}`;
  const path = shown(event.path);
  switch (event.type) {
    case 'started': {
      const part = event.doneBytes > 0 ? `, ${formatByteSize(event.doneBytes)} already here` : '';
      return `downloading ${path}, ${formatByteSize(event.totalBytes)}${part}`;
    }
    case 'progress':
      return `downloading ${path}: ${formatByteSize(event.doneBytes)} of ${formatByteSize(event.totalBytes)}`;
    case 'finished':
      return `downloaded ${path}, ${formatByteSize(event.totalBytes)}`;
    case 'waiting':
      return `waiting for another process of this machine that downloads ${path}`;
    case 'retrying':
      return `trying ${path} again in ${event.inMs < 10_000 ? `${event.inMs} ms` : `${Math.ceil(event.inMs / 1000)} s`}: ${event.why}`;
    case 'again':
      return `downloading ${path} again: ${event.why}`;
  }
}

/** A path as a terminal may see it. */
function shown(path: string): string {
  return path.replace(/[^\x20-\x7e]/g, '?').slice(0, 120);
}
