import type { SeededRandom } from '../../src/random.js';
import type { VirtualTime } from './virtual-time.js';

/**
 * The simulated network. Hosts are joined by paths, each with a delay; a path may be cut in either direction. Every connection is like TCP: what
 * is sent arrives in order and once. While its path is cut, it waits, and is sent again some time after the path is whole.
 */

export interface NetOptions {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly trace: (from: number, to: number) => void;
  /** Delay of a path, one way, drawn for each message between these two. */
  readonly delayMs: { readonly least: number; readonly most: number };
}

/** What is left of a transmission pause after the path is whole again, at most. */
const RETRY_CEILING_MS = 5_000;
const RETRY_FLOOR_MS = 200;

export class Net {
  private readonly hostNumbers = new Map<string, number>();
  private readonly paths = new Map<string, Path>();

  constructor(readonly options: NetOptions) {}

  /** Cuts the path in this direction. Gives the function that heals this cut. */
  cut(from: string, to: string): () => void {
    const path = this.path(from, to);
    path.cuts++;
    return once(() => path.heal());
  }

  /** Adds to the delay of a path. */
  delay(from: string, to: string, ms: number): () => void {
    const path = this.path(from, to);
    path.slowMs.push(ms);
    return once(() => path.slowMs.splice(path.slowMs.indexOf(ms), 1));
  }

  /** Adds to the chance that a part of what peers send on this path has a wrong bit. */
  garble(from: string, to: string, chance: number): () => void {
    const path = this.path(from, to);
    path.garbled.push(chance);
    return once(() => path.garbled.splice(path.garbled.indexOf(chance), 1));
  }

  wire(from: string, to: string): Wire {
    return new Wire(this, this.path(from, to));
  }

  private path(from: string, to: string): Path {
    const name = `${from}>${to}`;
    const path = this.paths.get(name) ?? new Path(from, to, this.numberOf(from), this.numberOf(to));
    this.paths.set(name, path);
    return path;
  }

  private numberOf(host: string): number {
    const known = this.hostNumbers.get(host) ?? this.hostNumbers.size;
    this.hostNumbers.set(host, known);
    return known;
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}

/** One direction between two hosts, with what faults do to it at present. */
class Path {
  cuts = 0;
  readonly slowMs: number[] = [];
  readonly garbled: number[] = [];
  /** The wires that something waits on until the path is whole. */
  readonly waiting = new Set<Wire>();

  constructor(
    readonly from: string,
    readonly to: string,
    readonly fromNumber: number,
    readonly toNumber: number,
  ) {}

  heal(): void {
    if (--this.cuts > 0) return;
    for (const wire of [...this.waiting]) wire.whole();
  }
}

/** One direction of one connection. */
export class Wire {
  private lastMs = 0;
  private waiting: (() => void)[] = [];
  private waitsSinceMs = 0;
  private resends = false;

  constructor(
    private readonly net: Net,
    private readonly path: Path,
  ) {}

  /** Carries something: `arrive` is called at the other host. */
  send(arrive: () => void): void {
    if (this.resends || this.path.cuts > 0) {
      if (this.waiting.length === 0) this.waitsSinceMs = this.net.options.time.nowMs;
      this.waiting.push(arrive);
      this.path.waiting.add(this);
      return;
    }
    this.carry(arrive);
  }

  /** Draws whether what has arrived has a wrong bit. */
  get garbles(): boolean {
    const { garbled } = this.path;
    if (garbled.length === 0) return false;
    return this.net.options.random.next() < garbled.reduce((sum, chance) => sum + chance, 0);
  }

  /** The path is whole again: what waits is sent after a pause, which grows with the time of the cut. */
  whole(): void {
    if (this.resends) return;
    const { time, random } = this.net.options;
    const cutMs = time.nowMs - this.waitsSinceMs;
    const pauseMs = Math.min(Math.max(RETRY_FLOOR_MS, cutMs * random.next()), RETRY_CEILING_MS);
    this.resends = true;
    time.after(pauseMs, () => {
      this.resends = false;
      if (this.path.cuts > 0) return;
      this.path.waiting.delete(this);
      for (const arrive of this.waiting.splice(0)) this.carry(arrive);
    });
  }

  private carry(arrive: () => void): void {
    const { time, trace } = this.net.options;
    this.lastMs = Math.max(this.lastMs, time.nowMs + this.drawDelayMs());
    time.at(this.lastMs, () => {
      trace(this.path.fromNumber, this.path.toNumber);
      arrive();
    });
  }

  private drawDelayMs(): number {
    const { random, delayMs } = this.net.options;
    const { slowMs } = this.path;
    const drawn = delayMs.least + (delayMs.most - delayMs.least) * random.next();
    return slowMs.length === 0 ? drawn : slowMs.reduce((sum, ms) => sum + ms, drawn);
  }
}
