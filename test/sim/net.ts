import type { SeededRandom } from '../../src/random.js';
import type { VirtualTime } from './virtual-time.js';

/**
 * The simulated network. Hosts are joined by paths, each with a delay; a path may be cut in either direction. Every connection is like TCP: what
 * is sent arrives in order and once. While its path is cut, it waits, and is sent again some time after the path is whole.
 */

export interface NetOptions {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly trace: (from: string, to: string) => void;
  /** Delay of a path, one way, drawn for each message between these two. */
  readonly delayMs: { readonly least: number; readonly most: number };
}

/** What is left of a transmission pause after the path is whole again, at most. */
const RETRY_CEILING_MS = 5_000;
const RETRY_FLOOR_MS = 200;

export class Net {
  private readonly cuts = new Map<string, number>();
  private readonly slow = new Map<string, number>();
  private readonly corrupt = new Map<string, number>();
  private readonly wires = new Map<string, Set<Wire>>();

  constructor(readonly options: NetOptions) {}

  /** Cuts the path in this direction. Gives the function that heals this cut. */
  cut(from: string, to: string): () => void {
    return this.mark(this.cuts, from, to, 1, () => {
      for (const wire of this.wires.get(pathOf(from, to)) ?? []) wire.whole();
    });
  }

  /** Adds to the delay of a path. */
  delay(from: string, to: string, ms: number): () => void {
    return this.mark(this.slow, from, to, ms);
  }

  /** Adds to the chance that a part of what peers send on this path has a wrong bit. */
  garble(from: string, to: string, chance: number): () => void {
    return this.mark(this.corrupt, from, to, chance);
  }

  isCut(from: string, to: string): boolean {
    return (this.cuts.get(pathOf(from, to)) ?? 0) > 0;
  }

  /** Draws the delay of one message. */
  delayOf(from: string, to: string): number {
    const { least, most } = this.options.delayMs;
    const { random } = this.options;
    return least + (most - least) * random.next() + (this.slow.get(pathOf(from, to)) ?? 0);
  }

  isGarbled(from: string, to: string): boolean {
    const chance = this.corrupt.get(pathOf(from, to)) ?? 0;
    return chance > 0 && this.options.random.next() < chance;
  }

  wire(from: string, to: string): Wire {
    const wire = new Wire(this, from, to);
    const path = pathOf(from, to);
    const wires = this.wires.get(path) ?? new Set();
    this.wires.set(path, wires.add(wire));
    return wire;
  }

  private mark(map: Map<string, number>, from: string, to: string, by: number, healed = () => {}): () => void {
    const path = pathOf(from, to);
    map.set(path, (map.get(path) ?? 0) + by);
    let marked = true;
    return () => {
      if (!marked) return;
      marked = false;
      const left = map.get(path)! - by;
      if (left > 1e-9) map.set(path, left);
      else map.delete(path);
      if (!map.has(path)) healed();
    };
  }
}

function pathOf(from: string, to: string): string {
  return `${from}>${to}`;
}

/** One direction of one connection. */
export class Wire {
  private lastMs = 0;
  private waiting: (() => void)[] = [];
  private waitsSinceMs = 0;
  private resends = false;

  constructor(
    private readonly net: Net,
    readonly from: string,
    readonly to: string,
  ) {}

  /** Carries something: `arrive` is called at the other host. */
  send(arrive: () => void): void {
    const { time } = this.net.options;
    if (this.resends || this.net.isCut(this.from, this.to)) {
      if (this.waiting.length === 0) this.waitsSinceMs = time.nowMs;
      this.waiting.push(arrive);
      return;
    }
    this.carry(arrive);
  }

  /** The path is whole again: what waits is sent after a pause, which grows with the time of the cut. */
  whole(): void {
    if (this.waiting.length === 0 || this.resends) return;
    const { time, random } = this.net.options;
    const cutMs = time.nowMs - this.waitsSinceMs;
    const pauseMs = Math.min(Math.max(RETRY_FLOOR_MS, cutMs * random.next()), RETRY_CEILING_MS);
    this.resends = true;
    time.after(pauseMs, () => {
      this.resends = false;
      if (this.net.isCut(this.from, this.to)) return;
      for (const arrive of this.waiting.splice(0)) this.carry(arrive);
    });
  }

  private carry(arrive: () => void): void {
    const { time, trace } = this.net.options;
    this.lastMs = Math.max(this.lastMs, time.nowMs + this.net.delayOf(this.from, this.to));
    time.at(this.lastMs, () => {
      trace(this.from, this.to);
      arrive();
    });
  }
}
