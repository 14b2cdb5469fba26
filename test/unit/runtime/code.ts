import { z } from 'zod';
import { Deferred } from '../../../src/async/deferred.js';
import { current, type ObjectRef, Overloaded, Unavailable } from '../../../src/index.js';

/** The code that the tests of the runtime host. */

export class Broke extends Error {
  constructor(
    message: string,
    readonly amount: number,
    options?: { cause: unknown },
  ) {
    super(message, options as never);
  }
}

export class Counter {
  private sum: number;

  constructor(start = 0) {
    if (start < 0) throw new Broke('a counter starts at 0 or above', start);
    this.sum = start;
  }

  add(amount: number): number {
    this.sum += amount;
    return this.sum;
  }

  async slowAdd(amount: number): Promise<number> {
    const before = this.sum;
    await new Promise((resolve) => setImmediate(resolve));
    this.sum = before + amount;
    return this.sum;
  }

  fail(amount: number): never {
    throw new Broke('no money left', amount, { cause: new RangeError('the reason') });
  }

  failTogether(): never {
    throw new AggregateError([new RangeError('one'), new TypeError('two')], 'both failed');
  }

  throwObject(): never {
    throw { status: 404, detail: { path: ['a', 1] } };
  }

  throwUnreadable(kind: string): never {
    const fail = () => {
      throw new Error('cannot be read');
    };
    let reads = 0;
    const trap = new Proxy({}, { get: fail, ownKeys: fail, getPrototypeOf: fail });
    const things: Record<string, unknown> = {
      message: Object.defineProperty(new RangeError('x'), 'message', { get: fail }),
      field: Object.defineProperty(new RangeError('left'), 'field', { get: fail, enumerable: true }),
      // Its content cannot be read for a second time.
      once: Object.assign(new RangeError('once'), {
        field: {
          get inner() {
            return reads++ === 0 ? 1 : fail();
          },
        },
      }),
      proxy: trap,
      cause: new RangeError('caused', { cause: trap }),
      constructor: { constructor: { name: 5 } },
      function: Object.assign(() => undefined, { toString: fail }),
      symbol: Symbol('s'),
      nothing: Object.create(null),
    };
    throw things[kind];
  }

  throwText(): never {
    throw 'a text';
  }

  async *upTo(limit: number): AsyncGenerator<number> {
    for (let i = 1; i <= limit; i++) yield i;
  }

  *sums(amount: number): Generator<number> {
    yield this.add(amount);
  }

  *letters(text: string): Generator<string> {
    yield* text;
  }

  echo<T>(value: T): T {
    return value;
  }

  me(): { callId: string; attempt: number } {
    const { callId, attempt } = current();
    return { callId, attempt };
  }

  async addBySelf(amount: number): Promise<number> {
    const self = current().self as unknown as { add(amount: number): Promise<number> };
    return self.add(amount);
  }

  waitForAbort(): Promise<string> {
    const { signal } = current();
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve('aborted')));
  }
}

/** Calls itself from what its methods start, and from its generators. */
export class Clockwork {
  private readonly ticks: Promise<number>[] = [];
  private count = 0;
  private go = new Deferred<void>();

  constructor() {
    this.start();
  }

  /** What this starts goes on once this has returned. */
  start(): void {
    const { self } = current();
    this.ticks.push(this.go.promise.then(() => (self as unknown as Clockwork).tick()));
  }

  wind(): void {
    this.go.resolve();
  }

  tick(): number {
    return ++this.count;
  }

  async all(): Promise<number[]> {
    const settled = await Promise.allSettled(this.ticks);
    return settled.map((tick) => (tick.status === 'fulfilled' ? tick.value : -1));
  }

  async *ticking(times: number): AsyncGenerator<number> {
    const self = current().self as unknown as Clockwork;
    for (let i = 0; i < times; i++) yield await self.tick();
  }

  /** Waits for a generator that waits for this. */
  async tickBy(other: { tickOf(to: unknown): AsyncIterable<number> }): Promise<number> {
    for await (const tick of other.tickOf(current().self)) return tick;
    return 0;
  }

  async *tickOf(to: Clockwork): AsyncGenerator<number> {
    yield await to.tick();
  }
}

/** A method that goes on until the test ends it, whatever becomes of its actor. */
export class Holder {
  static entered = new Deferred<void>();
  static left = new Deferred<void>();

  async hold(): Promise<void> {
    Holder.entered.resolve();
    await Holder.left.promise;
  }

  async *holdAfterOne(): AsyncGenerator<number> {
    yield 1;
    await this.hold();
  }
}

/** Tells when its constructor runs. */
export class Announced {
  static made = () => {};

  constructor() {
    Announced.made();
  }
}

/** Fails as a node does that is busy or gone. */
export class Picky {
  static made = 0;

  constructor(readonly kind: 'busy' | 'gone' | 'unsaved') {
    Picky.made++;
    if (kind === 'busy') throw new Overloaded('the constructor is busy');
    if (kind === 'gone') throw new Unavailable('the constructor is gone');
  }

  look(): string {
    return this.kind;
  }

  save(): never {
    throw new Unavailable('the state is gone');
  }

  restore(): void {}
}

/** A sum that survives its node. */
export class Ledger {
  private entries: number[] = [];

  static readonly schemas = {
    add: { args: z.tuple([z.int().min(1), z.boolean().default(false)]), result: z.number().max(1_000_000) },
    upTo: { result: z.number().max(2) },
    constructor: { args: z.tuple([]).or(z.tuple([z.string()])) },
  };

  add(amount: number, large: boolean): number {
    this.entries.push(...(large ? Array.from({ length: 20_000 }, () => amount) : [amount]));
    return this.entries.reduce((sum, entry) => sum + entry, 0);
  }

  async *upTo(limit: number): AsyncGenerator<number> {
    for (let i = 1; i <= limit; i++) yield i;
  }

  save(): readonly number[] {
    if (this.entries.includes(13)) throw new Broke('thirteen cannot be saved', 13);
    return this.entries;
  }

  async restore(entries: readonly number[]): Promise<void> {
    this.entries = [...entries];
  }
}

/** Tells how many of its calls ran at a time. */
export class Meter {
  private running = 0;

  async slow(): Promise<number> {
    return this.count();
  }

  async quick(): Promise<number> {
    return this.count();
  }

  async both(): Promise<number> {
    return this.count();
  }

  private async count(): Promise<number> {
    const running = ++this.running;
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    this.running--;
    return running;
  }

  async slowBySelf(): Promise<number> {
    return (current().self as unknown as Meter).slow();
  }
}

/** Writes to the console. */
export class Talker {
  constructor(name = 'nobody') {
    console.info('made for', name);
  }

  say(...words: unknown[]): void {
    console.log(...words);
  }

  async warnLater(word: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    console.warn(word);
  }

  fail(): never {
    throw new Broke('no voice', 1);
  }

  seen(): string | null {
    return current().traceparent;
  }

  async askSeen(other: Talker): Promise<string | null> {
    return other.seen();
  }

  async taskSeen(): Promise<string | null> {
    return current().fleet.task(seenByTask)();
  }
}

export function seenByTask(): string | null {
  return current().traceparent;
}

export class Relay {
  async addTo(counter: { add(amount: number): Promise<number> }, amount: number): Promise<number> {
    return counter.add(amount);
  }
}

export function square(value: number): number {
  return value * value;
}

export function half(value: number): number {
  return value / 2;
}
half.schema = { args: z.tuple([z.int()]), result: z.int() };

export async function sumOfSquares(limit: number): Promise<number> {
  let sum = 0;
  for await (const item of current().fleet.map(
    square,
    Array.from({ length: limit }, (_, i) => i + 1),
  ))
    sum += item;
  return sum;
}

export async function* countdown(from: number): AsyncGenerator<number> {
  for (let i = from; i > 0; i--) yield i;
}

export async function never(): Promise<void> {
  await new Promise(() => undefined);
}

export async function* oneThenNothing(): AsyncGenerator<number> {
  yield 1;
  await new Promise(() => undefined);
}

export function nowhere(): number {
  return 0;
}

/** Sums what it gets: a value itself, never a reference. */
export function total(numbers: Float64Array): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

export function range(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => i);
}

/** A range; the counter knows how often it was made. */
export async function countedRange(count: number, counter: Counter): Promise<Float64Array> {
  await counter.add(1);
  return range(count);
}

/** Waits in a call until another one lets it. */
export class Gate {
  private open: () => void = () => undefined;
  readonly passed = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  async wait(): Promise<void> {
    await this.passed;
  }

  pass(): void {
    this.open();
  }

  length(numbers: Float64Array): number {
    return numbers.length;
  }

  /** The last number of an object, of which it has changed a copy before. */
  async changed({ ref }: { ref: ObjectRef<Float64Array> }): Promise<number> {
    (await ref.get()).fill(7);
    return (await ref.get()).at(-1)!;
  }

  lengthOf(others: { numbers: ObjectRef<Float64Array> }[]): Promise<number> {
    return others[0]!.numbers.get().then(({ length }) => length);
  }
}

/** Keeps references that it gets within other values. */
export class Keeper {
  private kept: ObjectRef<Float64Array>[] = [];

  keep({ ref }: { ref: ObjectRef<Float64Array> }): void {
    this.kept.push(ref);
  }

  async read(): Promise<number> {
    return (await this.kept[0]!.get()).length;
  }

  make(count: number): Float64Array {
    return range(count);
  }

  drop(): void {
    for (const ref of this.kept) ref.release();
    this.kept = [];
  }
}

/** Tells when it gives back what it holds. */
export class Tenant {
  static readonly left: string[] = [];
  static leaving = new Deferred<void>();

  constructor(private readonly name: string) {}

  greet(): string {
    return `I am ${this.name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Tenant.leaving.promise;
    Tenant.left.push(`${this.name}, life ${current().attempt}`);
  }
}

/** A sum that takes its state back once a test lets it, and tells when it gives back what it holds. */
export class Sleeper {
  static restoring: (life: number) => Promise<void> = async () => undefined;
  static leaving: (life: number) => void = () => undefined;
  private sum = 0;

  add(amount: number): number {
    this.sum += amount;
    return this.sum;
  }

  save(): number {
    return this.sum;
  }

  async restore(sum: number): Promise<void> {
    await Sleeper.restoring(current().attempt);
    this.sum = sum;
  }

  [Symbol.dispose](): void {
    Sleeper.leaving(current().attempt);
  }
}
