/** Counters that a receiver has seen of one sender, so that each message is taken once. Source: RFC 4303, section 3.4.3. */
export class ReplayWindow {
  private readonly bits: Uint32Array;
  private highest = 0;

  /** Messages may overtake each other by up to `size`, a multiple of 32; older ones are refused. */
  constructor(private readonly size: number) {
    this.bits = new Uint32Array(size / 32);
  }

  /** True the first time that a counter is seen. Counters start at 1. */
  accept(counter: number): boolean {
    if (counter > this.highest) {
      this.advance(counter);
    } else if (counter <= this.highest - this.size || this.seen(counter)) {
      return false;
    }
    this.bits[(counter % this.size) >>> 5]! |= 1 << (counter & 31);
    return true;
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
