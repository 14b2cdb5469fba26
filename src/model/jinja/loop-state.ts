import { Attributes, Callable, equals, TemplateError, Undefined, type Value } from './values.js';

/** The variable `loop` of one loop. */
export class LoopState {
  readonly variable: Attributes;
  private lastSeen: Value | null = null;

  constructor(private readonly items: readonly Value[]) {
    const cycle = new Callable('cycle', (args) => this.cycled(args));
    const changed = new Callable('changed', (args) => this.hasChanged(args));
    // Only recursive loops, which the parser does not know, are deeper.
    const fixed = { length: items.length, depth: 1, depth0: 0, cycle, changed };
    this.variable = new Attributes('LoopContext', new Map<string, Value>(Object.entries(fixed)));
  }

  /** Sets the fields for an iteration, which is counted from 0. */
  enter(index: number): void {
    const { length } = this.items;
    const fields = {
      ...{ index: index + 1, index0: index, revindex: length - index, revindex0: length - index - 1 },
      ...{ first: index === 0, last: index === length - 1 },
      previtem: index > 0 ? this.items[index - 1]! : new Undefined('there is no previous item'),
      nextitem: index < length - 1 ? this.items[index + 1]! : new Undefined('there is no next item'),
    };
    for (const [name, value] of Object.entries(fields)) this.variable.fields.set(name, value);
  }

  private cycled(args: readonly Value[]): Value {
    if (args.length === 0) throw new TemplateError('no items for cycling given');
    return args[(this.variable.fields.get('index0') as number) % args.length]!;
  }

  private hasChanged(args: readonly Value[]): boolean {
    const isSame = this.lastSeen !== null && equals(this.lastSeen, args);
    this.lastSeen = args;
    return !isSame;
  }
}
