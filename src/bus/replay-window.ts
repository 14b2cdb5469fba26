/** What a window knows of a counter: that it comes for the first time, that it came before, or that it is too old to tell. */
export type Arrival = 'first' | 'repeated' | 'old';

/** The counters that a receiver has seen from one sender, to accept each message once. Source: RFC 4303, section 3.4.3. */
export class ReplayWindow {
  private readonly bits: Uint32Array;
  private highest = 0;

  /** `size`, a multiple of 32, bounds the reordering of messages: a counter this far behind the highest one is rejected. */
  constructor(private readonly size: number) {
    this.bits = new Uint32Array(size / 32);
  }

  /** Records a counter, unless it is too old. Counters start at 1. */
  record(counter: number): Arrival {
    if (counter > this.highest) this.advance(counter);
    else if (counter <= this.highest - this.size) return 'old';
    else if (this.seen(counter)) return 'repeated';
    this.bits[(counter % this.size) >>> 5]! |= 1 << (counter & 31);
    return 'first';
  }

  /** Whether a counter would be the first of its number. */
  awaits(counter: number): boolean {
    return counter > this.highest || (counter > this.highest - this.size && !this.seen(counter));
  }

  private seen(counter: number): boolean {
    return (this.bits[(counter % this.size) >>> 5]! & (1 << (counter & 31))) !== 0;
  }

  private advance(counter: number): void {
    if (counter - this.highest >= this.size) this.bits.fill(0);
    else for (let passed = this.highest + 1; passed <= counter; passed++) this.clear(passed);
    this.highest = counter;
  }

  private clear(counter: number): void {
    this.bits[(counter % this.size) >>> 5]! &= ~(1 << (counter & 31));
  }
}
