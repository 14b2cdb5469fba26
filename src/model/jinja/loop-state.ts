import { Attributes, Callable, equals, type JinjaValue, TemplateError, Undefined } from './values.js';

/** The variable `loop` of one loop. Its fields are computed when a template asks for them. */
export class LoopState {
  readonly variable = new Attributes('LoopContext', new Map(), (name) => this.field(name));
  private index = 0;
  private lastSeen: JinjaValue | null = null;

  constructor(private readonly items: readonly JinjaValue[]) {}

  /** Begins an iteration, which is counted from 0. */
  enter(index: number): void {
    this.index = index;
  }

  private field(name: string): JinjaValue | undefined {
    const { index, items } = this;
    switch (name) {
      case 'index':
        return index + 1;
      case 'index0':
        return index;
      case 'revindex':
        return items.length - index;
      case 'revindex0':
        return items.length - index - 1;
      case 'first':
        return index === 0;
      case 'last':
        return index === items.length - 1;
      case 'length':
        return items.length;
      case 'previtem':
        return index > 0 ? items[index - 1]! : new Undefined('there is no previous item');
      case 'nextitem':
        return index < items.length - 1 ? items[index + 1]! : new Undefined('there is no next item');
      // Only recursive loops, which the parser does not know, are deeper.
      case 'depth':
        return 1;
      case 'depth0':
        return 0;
      case 'cycle':
        return new Callable(name, (args) => this.cycled(args));
      case 'changed':
        return new Callable(name, (args) => this.hasChanged(args));
      default:
        return undefined;
    }
  }

  private cycled(args: readonly JinjaValue[]): JinjaValue {
    if (args.length === 0) throw new TemplateError('no items for cycling given');
    return args[this.index % args.length]!;
  }

  private hasChanged(args: readonly JinjaValue[]): boolean {
    const isSame = this.lastSeen !== null && equals(this.lastSeen, args);
    this.lastSeen = args;
    return !isSame;
  }
}
