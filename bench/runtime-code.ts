/** The code that the node of benchmark `runtime` hosts. */

export class Echo {
  echo<T>(value: T): T {
    return value;
  }

  async *count(items: number): AsyncGenerator<number> {
    for (let i = 0; i < items; i++) yield i;
  }
}

export function same(value: number): number {
  return value;
}
