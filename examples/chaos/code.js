import { current } from 'shoal';

/** A sum that survives its node, and counts a call once, however often it is repeated. */
export class Ledger {
  sum = 0;
  seen = new Set();

  add(amount) {
    const { callId } = current();
    if (!this.seen.has(callId)) this.sum += amount;
    this.seen.add(callId);
    return this.sum;
  }

  total() {
    return this.sum;
  }

  save() {
    return { sum: this.sum, seen: [...this.seen] };
  }

  restore({ sum, seen }) {
    this.sum = sum;
    this.seen = new Set(seen);
  }
}

/** Some work. */
export async function square(value) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  return value * value;
}
