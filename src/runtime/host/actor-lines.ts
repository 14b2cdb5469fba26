import { format } from 'node:util';
import { OneTimeEvent } from '../../async/event.js';
import { Cancelled } from '../../errors.js';
import { currentScope } from '../context.js';
import type { InstanceSpec, LogLine } from '../messages.js';

/** The console output of a node's actors: the newest lines, by actor, for readers and followers. */

/** Lines that are kept, and characters of one. */
const LINES = 4_096;
const LINE_CHARS = 2_048;
/** Lines in one message. */
const LINES_AT_A_TIME = 64;

type Wanted = (line: LogLine) => boolean;

export class ActorLines {
  private readonly kept: LogLine[] = [];
  /** Number of the first line that is kept. */
  private firstKept = 0;
  private changed = new OneTimeEvent();

  constructor(
    private readonly node: string,
    private readonly wallMs: () => number,
  ) {}

  add(
    { id, name, class: of }: Pick<InstanceSpec, 'id' | 'name' | 'class'>,
    level: LogLine['level'],
    text: string,
  ): void {
    const line = { timeMs: this.wallMs(), node: this.node, actor: id, name, class: of, level };
    this.kept.push({ ...line, text: text.slice(0, LINE_CHARS) });
    // In one move for many lines, because a shift moves all.
    if (this.kept.length >= 2 * LINES) this.firstKept += this.kept.splice(0, this.kept.length - LINES).length;
    this.changed.set();
    this.changed = new OneTimeEvent();
  }

  /** The lines of the actors with this name or id, in lists. With `follow`, also those to come, until the signal aborts. */
  async *of(actor: string, follow: boolean, signal: AbortSignal): AsyncGenerator<LogLine[]> {
    const isWanted: Wanted = (line) => line.actor === actor || line.name === actor;
    for (let next = 0; ; ) {
      const { changed } = this;
      next = Math.max(next, this.firstKept);
      const end = this.firstKept + this.kept.length;
      for (const lines of inLists(this.kept.slice(next - this.firstKept).filter(isWanted))) yield lines;
      next = end;
      if (!follow) return;
      if (this.firstKept + this.kept.length > end) continue;
      try {
        await changed.wait(signal);
      } catch (error) {
        if (error instanceof Cancelled) return;
        throw error;
      }
    }
  }
}

function* inLists(lines: readonly LogLine[]): Generator<LogLine[]> {
  for (let from = 0; from < lines.length; from += LINES_AT_A_TIME) yield lines.slice(from, from + LINES_AT_A_TIME);
}

const LEVELS = { debug: 'debug', info: 'info', log: 'info', warn: 'warn', error: 'error' } as const;
type Method = keyof typeof LEVELS;

/** Nodes of this process that listen to the console. */
let listening = 0;
const originals = new Map<Method, (...args: unknown[]) => void>();

/** From now on, what actors write to the console is kept too. Returns the function that ends this. */
export function listenToConsole(): () => void {
  if (listening++ === 0) for (const method of Object.keys(LEVELS) as Method[]) hook(method);
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    if (--listening > 0) return;
    for (const [method, original] of originals) console[method] = original;
    originals.clear();
  };
}

function hook(method: Method): void {
  const original = console[method];
  originals.set(method, original);
  console[method] = (...args: unknown[]) => {
    currentScope()?.printer?.print(LEVELS[method], format(...args));
    original.apply(console, args);
  };
}
