import type { Clock } from '../clock.js';
import type { Constraint } from '../core/constraint/constraint.js';
import { InternalError } from '../errors.js';
import type { Log } from '../log.js';
import type { ChatMessage } from '../model/chat-template.js';
import { PacedLog } from '../paced-log.js';
import type { StartThread } from './lane-thread.js';
import { TextLane } from './text-lane.js';
import type { TextResult, TextTask } from './text-task.js';
import type { ChatTextOptions, EncodedText, TextCaller, TextOptions, TextWork } from './text-work.js';

/** Works on texts in threads: one for short texts, one for long ones, and another of each where tenants are in each other's way. */

/** The longest text of the lane for short texts, in UTF-16 units. */
const SHORT_TEXT_CHARS = 16 * 1024;
/** Rough size of one message or one token of a task, besides its text. */
const ITEM_CHARS = 8;
/** Time for a short text, which usually takes a few milliseconds. */
const SHORT_TASK_MS = 2_000;
const LONG_TASK_MS = 10_000;
/** Threads of a lane, at most. */
const LANE_THREADS = 2;
const WAITING_TASKS = 4_096;
/** Text that waits in a lane, in UTF-16 units. */
const WAITING_CHARS = 64 * 2 ** 20;

export interface TextThreadsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly start: StartThread;
  /** Default: as long as a short and a long text may take. */
  readonly taskMs?: { readonly short: number; readonly long: number };
}

/**
 * Every text goes to a thread, however short: a template or a regular expression of the model can take any time for it, and no look at the
 * two can exclude that. A caller submits the texts of a request one by one, so that requests take turns in a lane.
 */
export class TextThreads implements TextWork {
  private constructor(
    private readonly short: TextLane,
    private readonly long: TextLane,
    readonly hasTemplate: boolean,
  ) {}

  /** Starts the threads. Rejects with `Refused` if the model's tokenizer or template cannot be used. */
  static async start({ clock, log, start, taskMs }: TextThreadsOptions): Promise<TextThreads> {
    const paced = new PacedLog(log, clock);
    const lane = (name: 'short' | 'long', ms: number) =>
      new TextLane({
        ...{
          clock,
          start,
          cpuMs: cpuMeter(clock),
          taskMs: ms,
          threads: LANE_THREADS,
          maxWaiting: WAITING_TASKS,
          maxWaitingChars: WAITING_CHARS,
        },
        priority: name === 'long' ? 'low' : 'normal',
        onReplaced: (reason) => paced.warn({ lane: name, reason }, 'replaced a thread for texts'),
      });
    const short = lane('short', taskMs?.short ?? SHORT_TASK_MS);
    const long = lane('long', taskMs?.long ?? LONG_TASK_MS);
    try {
      const [{ hasTemplate }] = await Promise.all([short.started, long.started]);
      return new TextThreads(short, long, hasTemplate);
    } catch (error) {
      await Promise.all([short.close(), long.close()]);
      throw error;
    }
  }

  encode(text: string, options: TextOptions, caller: TextCaller): Promise<EncodedText> {
    return this.encoded({ type: 'encode', text, options }, text.length, caller);
  }

  encodeChat(messages: readonly ChatMessage[], options: ChatTextOptions, caller: TextCaller): Promise<EncodedText> {
    const ofOptions = charsOf(options.tools ?? []) + charsOf(options.variables ?? {});
    const chars = messages.reduce((sum, message) => sum + ITEM_CHARS + charsOf(message), ofOptions);
    return this.encoded({ type: 'chat', messages, options }, chars, caller);
  }

  async decode(tokens: Uint32Array, options: Pick<TextOptions, 'param'>, caller: TextCaller): Promise<string> {
    const result = await this.run({ type: 'decode', tokens, options }, ITEM_CHARS * tokens.length, caller);
    if (result.type !== 'text') throw new InternalError(`a thread answered ${result.type} for tokens`);
    return result.text;
  }

  async constrain(
    constraint: Constraint,
    options: Pick<TextOptions, 'param'>,
    caller: TextCaller,
  ): Promise<Uint8Array> {
    const result = await this.run({ type: 'constrain', constraint, options }, charsOf(constraint), caller);
    if (result.type !== 'program') throw new InternalError(`a thread answered ${result.type} for a constraint`);
    return result.program;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await Promise.all([this.short.close(), this.long.close()]);
  }

  private async encoded(task: TextTask, chars: number, caller: TextCaller): Promise<EncodedText> {
    const result = await this.run(task, chars, caller);
    if (result.type === 'text' || result.type === 'program')
      throw new InternalError(`a thread answered ${result.type} for a text`);
    return result;
  }

  private run(task: TextTask, chars: number, caller: TextCaller): Promise<TextResult> {
    return (chars <= SHORT_TEXT_CHARS ? this.short : this.long).run(task, chars, caller);
  }
}

/** For how long a reading of the processor time is reused: a reading is costly compared with a short text, and a task may take far longer. */
const CPU_READING_MS = 10;

function cpuMeter(clock: Clock): () => number {
  let readMs = Number.NEGATIVE_INFINITY;
  let usedMs = 0;
  return () => {
    if (clock.now() - readMs < CPU_READING_MS) return usedMs;
    const { user, system } = process.cpuUsage();
    readMs = clock.now();
    usedMs = (user + system) / 1_000;
    return usedMs;
  };
}

/** The characters of all strings in a value, and some for each part of it. */
function charsOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, item) => sum + ITEM_CHARS + charsOf(item), 0);
}
