/** A binary heap with removal and reordering of any item. */

/** An item of a heap, with its index in the heap; -1 outside of one. */
export interface HeapItem {
  heapIndex: number;
}

/** A binary heap. Adding, removing and reordering an item takes O(log n). */
export class Heap<T extends HeapItem> {
  private readonly items: T[] = [];
  private readonly before: (a: T, b: T) => boolean;

  /** `before(a, b)`: whether `a` comes before `b`. */
  constructor(before: (a: T, b: T) => boolean) {
    this.before = before;
  }

  get size(): number {
    return this.items.length;
  }

  first(): T | undefined {
    return this.items[0];
  }

  /** Yields the items in order without removing them: the first k in O(k log k). The heap must not change during the iteration. */
  *inOrder(): Generator<T> {
    const next = new Heap<{ readonly item: T; heapIndex: number }>((a, b) => this.before(a.item, b.item));
    const offer = (item: T | undefined) => {
      if (item !== undefined) next.add({ item, heapIndex: -1 });
    };
    offer(this.items[0]);
    for (let first = next.first(); first !== undefined; first = next.first()) {
      next.remove(first);
      const { item } = first;
      offer(this.items[2 * item.heapIndex + 1]);
      offer(this.items[2 * item.heapIndex + 2]);
      yield item;
    }
  }

  clear(): void {
    for (const item of this.items) item.heapIndex = -1;
    this.items.length = 0;
  }

  /** Adds an item, which must not be in a heap. */
  add(item: T): void {
    this.set(this.items.length, item);
    this.rise(item);
  }

  remove(item: T): void {
    const last = this.items.pop()!;
    const hole = item.heapIndex;
    item.heapIndex = -1;
    if (last === item) return;
    this.set(hole, last);
    this.moved(last);
  }

  /** Restores the order after a change of the item that affects `before`. */
  moved(item: T): void {
    this.rise(item);
    this.sink(item);
  }

  private rise(item: T): void {
    while (item.heapIndex > 0) {
      const parent = this.items[(item.heapIndex - 1) >> 1]!;
      if (!this.before(item, parent)) return;
      this.swap(item, parent);
    }
  }

  private sink(item: T): void {
    for (;;) {
      const left = this.items[2 * item.heapIndex + 1];
      const right = this.items[2 * item.heapIndex + 2];
      const child = right !== undefined && left !== undefined && this.before(right, left) ? right : left;
      if (child === undefined || !this.before(child, item)) return;
      this.swap(item, child);
    }
  }

  private swap(a: T, b: T): void {
    const at = a.heapIndex;
    this.set(b.heapIndex, a);
    this.set(at, b);
  }

  private set(at: number, item: T): void {
    this.items[at] = item;
    item.heapIndex = at;
  }
}
