/** A running hash of what happens in a simulation: equal runs have equal hashes. */
export class Trace {
  private low = 0x811c9dc5;
  private high = 0x01000193;

  /** Adds one event: its moment, and numbers that tell it from others. */
  note(atMs: number, ...what: readonly number[]): void {
    this.mix(Math.round(atMs * 1000));
    for (const number of what) this.mix(number);
  }

  noteText(atMs: number, text: string): void {
    this.mix(Math.round(atMs * 1000));
    for (let i = 0; i < text.length; i++) this.mix(text.charCodeAt(i));
  }

  get hash(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.high) + hex(this.low);
  }

  private mix(value: number): void {
    const word = value | 0;
    this.low = Math.imul(this.low ^ word, 0x01000193);
    this.high = Math.imul((this.high << 5) | (this.high >>> 27), 0x85ebca6b) ^ word ^ this.low;
  }
}
