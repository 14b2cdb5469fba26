import { literalPattern } from '../../../src/literal-pattern.js';
import { begunMark } from './held-end.js';
import { type CallPiece, type MessagePieces, shown } from './message-pieces.js';
import type { MessageReader } from './message-reader.js';
import { textWithTokens, withoutTokenMarks } from './token-mark.js';

/**
 * Splits an answer of gpt-oss, in the format harmony: messages with a header that names a channel and perhaps a recipient. The channel `analysis` is
 * reasoning, a message to a function is a call, and everything else is text: https://cookbook.openai.com/articles/openai-harmony.
 */

const START = '<|start|>';
const CHANNEL = '<|channel|>';
const MESSAGE = '<|message|>';
/** A message ends with one of these; after the last two the answer is complete. */
const ENDS = ['<|end|>', START, CHANNEL, '<|call|>', '<|return|>'];
const LAST = ['<|call|>', '<|return|>'];
/** The longest header; a longer one is text. */
const HEADER_CHARS = 512;
const FUNCTIONS = 'functions.';
/** What models write in place of arguments for a function that has none. */
const NO_ARGUMENTS = 'null';

interface ChannelCalls {
  readonly most: 'one' | 'many';
  /** The tools of the request. */
  readonly names: ReadonlySet<string>;
  readonly newId: () => string;
}

export interface ChannelOptions {
  /** Where the answer begins: before a header, or in the text of a message that the prompt has begun. */
  readonly begins: 'header' | 'text';
  /** Whether the answer is one message of a given form, within which no spelled mark has a meaning. */
  readonly enforced: boolean;
  /** The marks that are special tokens of the model. The others can only be spelled. */
  readonly specials: readonly string[];
  /** Whether reasoning is told from text. */
  readonly reasons: boolean;
  /** Null: calls are text. */
  readonly calls: ChannelCalls | null;
}

/** A message to a function. */
interface ChannelCall {
  readonly name: string;
  /** Its text before it is known whether it is a call. */
  held: string;
  /** Whether its name was given. */
  begun: boolean;
}

type Part = 'text' | 'reasoning' | 'call';

interface Pieces {
  text: string;
  reasoning: string;
  readonly calls: CallPiece[];
}

/** The marks as they stand in the text. */
interface ChannelMarks {
  readonly message: string;
  /** With which a header may begin. */
  readonly openings: readonly string[];
  readonly ends: readonly string[];
  readonly anEnd: RegExp;
  readonly last: readonly string[];
  /** The ends of a message that begin the next header. */
  readonly next: readonly string[];
}

function marksOf({ enforced, specials }: ChannelOptions): ChannelMarks {
  const [message, start, channel] = [MESSAGE, START, CHANNEL].map((mark) => textWithTokens(mark, specials));
  const asTexts = (marks: readonly string[]) => marks.map((mark) => textWithTokens(mark, specials));
  const ends = asTexts(ENDS.filter((mark) => !enforced || specials.includes(mark)));
  return {
    message: message!,
    openings: [start!, channel!, message!],
    ends,
    // Without an end, one that is found nowhere.
    anEnd: ends.length === 0 ? /(?!)/ : new RegExp(ends.map(literalPattern).join('|')),
    last: asTexts(LAST),
    next: [start!, channel!],
  };
}

export class ChannelReader implements MessageReader {
  complete = false;
  private place: 'header' | Part;
  private buffer = '';
  private calls = 0;
  /** The present call. */
  private call: ChannelCall | null = null;
  /** Parts that have had characters: a later message of the same part begins on a new line. */
  private readonly begun = new Set<Part>();
  private breaks = false;
  private readonly marks: ChannelMarks;

  constructor(private readonly options: ChannelOptions) {
    this.place = options.begins;
    this.marks = marksOf(options);
  }

  get called(): boolean {
    return this.calls > 0;
  }

  get thinking(): boolean {
    return this.place === 'reasoning';
  }

  push(text: string): MessagePieces {
    const pieces: Pieces = { text: '', reasoning: '', calls: [] };
    this.buffer += text;
    while (this.buffer !== '' && !this.complete && this.advance(pieces));
    return shown(pieces);
  }

  flush(cut: boolean): MessagePieces {
    const pieces: Pieces = { text: '', reasoning: '', calls: [] };
    const { place, buffer } = this;
    this.buffer = '';
    if (this.complete) return shown(pieces);
    if (place !== 'header') this.add(place, buffer, pieces);
    // An unfinished header says nothing, unless it is none.
    else if (!this.isHeader(buffer)) this.add('text', buffer, pieces);
    if (place === 'call') this.endCall(pieces, cut);
    return shown(pieces);
  }

  private advance(pieces: Pieces): boolean {
    return this.place === 'header' ? this.readHeader(pieces) : this.readPart(this.place, pieces);
  }

  private readHeader(pieces: Pieces): boolean {
    const { message } = this.marks;
    const end = this.buffer.slice(0, HEADER_CHARS + message.length).indexOf(message);
    if (!this.isHeader(this.buffer) || (end < 0 && this.buffer.length >= HEADER_CHARS + message.length)) {
      this.place = 'text';
      this.addMark(pieces);
      return true;
    }
    if (end < 0) return false;
    this.begin(withoutTokenMarks(this.buffer.slice(0, end)));
    this.buffer = this.buffer.slice(end + message.length);
    return true;
  }

  /** The mark with which a text begins that is no header would begin a header again. */
  private addMark(pieces: Pieces): void {
    const from = this.buffer.length - this.buffer.trimStart().length;
    const mark = this.marks.next.find((each) => this.buffer.startsWith(each, from));
    if (mark === undefined) return;
    this.add('text', this.buffer.slice(0, from + mark.length), pieces);
    this.buffer = this.buffer.slice(from + mark.length);
  }

  /** Begins the part that a header names. */
  private begin(header: string): void {
    const { calls, reasons } = this.options;
    const channel = /<\|channel\|>\s*(\w+)/.exec(header)?.[1] ?? '';
    const recipient = /(?:^|[\s>])to=([^\s<]+)/.exec(header)?.[1] ?? '';
    const name = nameOf(recipient, calls?.names ?? new Set());
    this.place = channel === 'analysis' && reasons ? 'reasoning' : 'text';
    this.breaks = this.begun.has(this.place);
    if (calls === null || name === null) return;
    this.place = 'call';
    this.call = { name, held: '', begun: false };
  }

  private readPart(part: Part, pieces: Pieces): boolean {
    const { ends, anEnd, last, next } = this.marks;
    const at = this.buffer.search(anEnd);
    if (at < 0) {
      const held = begunMark(this.buffer, ends);
      this.add(part, this.buffer.slice(0, this.buffer.length - held), pieces);
      this.buffer = held === 0 ? '' : this.buffer.slice(-held);
      return false;
    }
    this.add(part, this.buffer.slice(0, at), pieces);
    const mark = ends.find((end) => this.buffer.startsWith(end, at))!;
    if (part === 'call') this.endCall(pieces, false);
    this.complete = last.includes(mark) || (this.called && this.options.calls?.most === 'one');
    this.buffer = this.buffer.slice(next.includes(mark) ? at : at + mark.length);
    this.place = 'header';
    return true;
  }

  private add(part: Part, characters: string, pieces: Pieces): void {
    if (characters === '') return;
    if (part === 'call') {
      this.addToCall(characters, pieces);
      return;
    }
    pieces[part] += (this.breaks ? '\n' : '') + characters;
    this.breaks = false;
    this.begun.add(part);
  }

  /** Whether a text begins like a header, or may yet. */
  private isHeader(text: string): boolean {
    const start = text.trimStart();
    return ['to=', ...this.marks.openings].some((mark) => mark.startsWith(start) || start.startsWith(mark));
  }

  private addToCall(characters: string, pieces: Pieces): void {
    const call = this.call!;
    if (call.begun) pieces.calls.push({ index: this.calls - 1, arguments: characters });
    else {
      call.held += characters;
      const json = call.held.trimStart();
      if (json.startsWith('{')) this.beginCall(call, json, pieces);
      else if (!NO_ARGUMENTS.startsWith(json.trimEnd())) this.giveUp(call, pieces);
    }
  }

  private beginCall(call: ChannelCall, json: string, { calls }: Pieces): void {
    call.begun = true;
    calls.push({ index: this.calls++, id: this.options.calls!.newId(), name: call.name, arguments: '' });
    if (json !== '') calls.push({ index: this.calls - 1, arguments: json });
  }

  /** What is no object is no call's arguments: the message is text. */
  private giveUp({ held }: ChannelCall, pieces: Pieces): void {
    this.call = null;
    this.place = 'text';
    this.breaks = this.begun.has('text');
    this.add('text', held, pieces);
  }

  /** A call without arguments, or with `null` in their place, has none. @param cut whether more would have come */
  private endCall(pieces: Pieces, cut: boolean): void {
    const { call } = this;
    this.call = null;
    if (call === null || call.begun) return;
    const json = call.held.trim();
    if (cut) this.beginCall(call, '', pieces);
    else if (json === '' || json === NO_ARGUMENTS) this.beginCall(call, '{}', pieces);
    else this.giveUp(call, pieces);
  }
}

/** The function that a recipient names; null for a recipient that is none. */
function nameOf(recipient: string, names: ReadonlySet<string>): string | null {
  if (recipient.startsWith(FUNCTIONS)) return recipient.slice(FUNCTIONS.length);
  return names.has(recipient) ? recipient : null;
}
