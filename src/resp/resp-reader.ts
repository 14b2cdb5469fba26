import { fromWire, type ShoalError, toWire } from '../errors.js';
import type { ObjectValue, ValueWriter } from '../objects/object-value.js';
import type { ValueStaging } from '../objects/value-staging.js';
import type { CommandShare } from './command-memory.js';
import { isHttp, printable } from './foreign-bytes.js';

/**
 * Cuts the bytes of a client into commands, as the Redis serialization protocol has them: arrays of bulk strings, or lines of words. Long arguments
 * go straight into the memory of values. Knows no socket.
 */

/** An argument of at least this many bytes becomes a value. @internal exported for tests. */
export const VALUE_ARG_BYTES = 16 * 1024;
/** Limits on one command, without the arguments that are values. */
const COMMAND_ARGS = 65_536;
const COMMAND_BYTES = 8 * 2 ** 20;
/** What an argument costs beside its bytes. */
const ARG_COST_BYTES = 128;
/** Limits on a command of a client that has to prove itself first. */
const STRANGER_ARGS = 10;
const STRANGER_ARG_BYTES = 16 * 1024;
/** Limit on a command that is a line of words. */
const INLINE_BYTES = 64 * 1024;
/** Limit on the line that gives a length. */
const LENGTH_LINE_BYTES = 32;
const FIRST_SCRATCH_BYTES = 64 * 1024;
const LEAST_TARGET_BYTES = 16 * 1024;
/** Bytes of a value read at once, so that they are still in the CPU cache when their digest is computed. */
const VALUE_READ_BYTES = 256 * 1024;

export type RespArg = Buffer | ObjectValue;

/** The client does not speak the protocol: its connection has to be closed. */
export class RespProtocolError extends Error {}

export interface RespTaker {
  /** Limit on the bytes of an argument. */
  readonly argBytes: number;
  /** Whether the client has proved itself, or need not. */
  readonly trusted: boolean;
  /** The tenant whose share of the memory its incoming values use; null where all clients are one tenant. */
  readonly tenant: string | null;
  /**
   * A command has come. The taker releases its values. It may set `blocked`: then no further command comes until it calls `proceed`.
   * @param fault why some of its arguments could not be kept; null if all are there. Values that are not there are empty, and no argument but the
   * first is there if the command was too long for the memory.
   */
  command(args: RespArg[], fault: ShoalError | null): void;
  /** A line without words has come, or an array without arguments. */
  nothing(): void;
  /** A line, an argument or a command has come: each costs time, also where it is empty. The taker may set `blocked`, as in `command`. */
  stepped(): void;
}

type State =
  | { readonly type: 'command' }
  | { readonly type: 'length' }
  | { readonly type: 'arg'; readonly bytes: number }
  | { readonly type: 'value'; readonly writer: ValueWriter }
  | { readonly type: 'discard'; missing: number }
  /** The end of the line behind a value. */
  | { readonly type: 'end'; readonly writer: ValueWriter | null };

const COMMAND: State = { type: 'command' };
const LENGTH: State = { type: 'length' };
const CR = 13;
const LF = 10;
const STAR = 42;
const DOLLAR = 36;
const EMPTY = Buffer.alloc(0);

export class RespReader {
  /** Set by the taker while it works on a command. */
  blocked = false;
  private scratch = Buffer.allocUnsafe(FIRST_SCRATCH_BYTES);
  private start = 0;
  private end = 0;
  private state: State = COMMAND;
  private args: RespArg[] = [];
  private due = 0;
  /** Arguments that have come, and whether they are discarded, as there was no memory for them. */
  private received = 0;
  private lost = false;
  private bytes = 0;
  private fault: ShoalError | null = null;
  private parsing = false;
  /** Whether the next bytes come straight into the memory of a value. */
  private direct = false;

  constructor(
    private readonly taker: RespTaker,
    private readonly staging: ValueStaging,
    private readonly memory: CommandShare,
  ) {}

  /** Whether a command has begun and not ended. */
  get midCommand(): boolean {
    return this.state.type !== 'command' || this.end > this.start;
  }

  /** Memory for the next bytes; never empty. Valid until `advance`, also if `proceed` is called before that. */
  target(): Buffer {
    this.direct = false;
    if (this.state.type === 'value' && this.end === this.start) {
      const target = this.valueTarget();
      if (target !== null) {
        this.direct = true;
        return target;
      }
    }
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
      if (this.scratch.byteLength > FIRST_SCRATCH_BYTES) this.scratch = Buffer.allocUnsafe(FIRST_SCRATCH_BYTES);
    }
    if (this.scratch.byteLength - this.end < LEAST_TARGET_BYTES) this.makeRoom();
    return this.scratch.subarray(this.end);
  }

  /** The first `bytes` of what `target` gave are filled. @throws RespProtocolError */
  advance(bytes: number): void {
    if (this.direct && this.state.type === 'value') {
      this.state.writer.advance(bytes);
      if (this.state.writer.missing === 0) this.state = { type: 'end', writer: this.state.writer };
      return;
    }
    this.end += bytes;
    this.proceed();
  }

  /** Gives the taker the commands that have come, until it is blocked. @throws RespProtocolError */
  proceed(): void {
    // The taker may call this while it is being called.
    if (this.parsing) return;
    // The command before has ended.
    if (!this.blocked && this.state.type === 'command') this.memory.release();
    this.parsing = true;
    try {
      while (!this.blocked && this.step()) this.taker.stepped();
    } finally {
      this.parsing = false;
    }
  }

  /** Gives back all memory. */
  stop(): void {
    this.blocked = true;
    if (this.state.type === 'value') this.state.writer.abort();
    if (this.state.type === 'end') this.state.writer?.abort();
    this.state = COMMAND;
    this.dropArgs();
  }

  /** Gives back the memory of the arguments that have come. */
  private dropArgs(): void {
    for (const arg of this.args.splice(0)) if (!Buffer.isBuffer(arg)) arg.release();
    this.memory.release();
  }

  private step(): boolean {
    switch (this.state.type) {
      case 'command':
        return this.beginCommand();
      case 'length':
        return this.beginArg();
      case 'arg':
        return this.takeArg(this.state.bytes);
      case 'value':
        return this.copyIntoValue(this.state.writer);
      case 'discard':
        return this.discard(this.state);
      case 'end':
        return this.endArg(this.state.writer);
    }
  }

  private beginCommand(): boolean {
    if (this.start === this.end) return false;
    if (this.scratch[this.start] !== STAR) return this.inline();
    const count = this.length('multibulk length', LENGTH_LINE_BYTES);
    if (count === null) return false;
    if (count > COMMAND_ARGS) throw new RespProtocolError('invalid multibulk length');
    if (!this.taker.trusted && count > STRANGER_ARGS) throw new RespProtocolError('unauthenticated multibulk length');
    if (count > 0) {
      this.due = count;
      this.bytes = 0;
      this.state = LENGTH;
    } else this.taker.nothing();
    return true;
  }

  private beginArg(): boolean {
    if (this.start === this.end) return false;
    if (this.scratch[this.start] !== DOLLAR) {
      throw new RespProtocolError(`expected '$', got '${printable(this.scratch[this.start]!)}'`);
    }
    const bytes = this.length('bulk length', LENGTH_LINE_BYTES);
    if (bytes === null) return false;
    if (bytes < 0 || bytes > this.taker.argBytes) throw new RespProtocolError('invalid bulk length');
    if (!this.taker.trusted && bytes > STRANGER_ARG_BYTES) throw new RespProtocolError('unauthenticated bulk length');
    if (bytes >= VALUE_ARG_BYTES) {
      this.state = { type: 'value', writer: this.staging.writer(bytes, this.taker.tenant) };
      return true;
    }
    this.bytes += bytes;
    if (this.bytes > COMMAND_BYTES) throw new RespProtocolError('too big command');
    if (!this.lost) this.takeMemory(bytes);
    this.state = { type: 'arg', bytes };
    return true;
  }

  /** Counts an argument. Where there is no memory for it, the command is lost: its bytes are discarded, and its taker learns why. */
  private takeMemory(bytes: number): void {
    try {
      this.memory.take(bytes + ARG_COST_BYTES, this.taker.tenant);
    } catch (error) {
      this.fault = fromWire(toWire(error));
      this.lost = true;
      const [first] = this.args;
      this.dropArgs();
      this.args = [first !== undefined && Buffer.isBuffer(first) ? first : EMPTY];
    }
  }

  private takeArg(bytes: number): boolean {
    if (this.end - this.start < bytes + 2) return false;
    const at = this.start;
    this.start += bytes;
    this.lineEnd();
    // A copy of its own: it may be kept, and this memory is used again.
    this.addArg(bytes === 0 || this.lost ? EMPTY : Buffer.from(this.scratch.subarray(at, at + bytes)));
    return true;
  }

  /** Moves the bytes of a value that arrived together with earlier data. The rest is read straight into the value's memory. */
  private copyIntoValue(writer: ValueWriter): boolean {
    while (this.start < this.end && writer.missing > 0) {
      const target = this.valueTarget();
      if (target === null) return true;
      const bytes = Math.min(target.byteLength, this.end - this.start);
      this.scratch.copy(target, 0, this.start, this.start + bytes);
      writer.advance(bytes);
      this.start += bytes;
    }
    if (writer.missing > 0) return false;
    this.state = { type: 'end', writer };
    return true;
  }

  /** Memory for the value that is coming in; null if there is none, so that its bytes are discarded. */
  private valueTarget(): Buffer | null {
    const { writer } = this.state as Extract<State, { type: 'value' }>;
    try {
      return writer.target().subarray(0, VALUE_READ_BYTES);
    } catch (error) {
      this.fault = fromWire(toWire(error));
      this.state = { type: 'discard', missing: writer.missing };
      writer.abort();
      return null;
    }
  }

  private discard(state: Extract<State, { type: 'discard' }>): boolean {
    const bytes = Math.min(state.missing, this.end - this.start);
    this.start += bytes;
    state.missing -= bytes;
    if (state.missing > 0) return false;
    this.state = { type: 'end', writer: null };
    return true;
  }

  private endArg(writer: ValueWriter | null): boolean {
    if (this.end - this.start < 2) return false;
    this.lineEnd();
    this.addArg(writer?.finish() ?? EMPTY);
    return true;
  }

  private addArg(arg: RespArg): void {
    if (!this.lost) this.args.push(arg);
    else if (!Buffer.isBuffer(arg)) arg.release();
    if (++this.received < this.due) {
      this.state = LENGTH;
      return;
    }
    const { args, fault } = this;
    this.args = [];
    this.received = 0;
    this.lost = false;
    this.fault = null;
    this.state = COMMAND;
    this.taker.command(args, fault);
    if (!this.blocked) this.memory.release();
  }

  /** A command that is a line of words. */
  private inline(): boolean {
    const line = this.line(INLINE_BYTES, 'too big inline request');
    if (line === null) return false;
    if (isHttp(line)) throw new RespProtocolError('this port speaks the Redis protocol, not HTTP');
    const words = line.split(/[\t\n\v\f\r ]+/).filter((word) => word !== '');
    if (!this.taker.trusted && words.length > STRANGER_ARGS)
      throw new RespProtocolError('unauthenticated multibulk length');
    const args = words.map((word) => Buffer.from(word, 'latin1'));
    if (args.length > 0) this.taker.command(args, null);
    else this.taker.nothing();
    return true;
  }

  /** The number behind the first byte of a line; null if its end has not come. */
  private length(what: string, mostBytes: number): number | null {
    const line = this.line(mostBytes, `too big ${what} string`);
    if (line === null) return null;
    const text = line.slice(1);
    if (!/^-?\d{1,15}$/.test(text)) throw new RespProtocolError(`invalid ${what}`);
    return Number(text);
  }

  /** The next line without its end; null if its end has not come. */
  private line(mostBytes: number, fault: string): string | null {
    const at = this.scratch.subarray(this.start, Math.min(this.end, this.start + mostBytes + 2)).indexOf(LF);
    if (at === -1) {
      if (this.end - this.start >= mostBytes + 2) throw new RespProtocolError(fault);
      return null;
    }
    const from = this.start;
    this.start += at + 1;
    const end = this.scratch[from + at - 1] === CR && at > 0 ? from + at - 1 : from + at;
    return this.scratch.toString('latin1', from, end);
  }

  private lineEnd(): void {
    if (this.scratch[this.start] !== CR || this.scratch[this.start + 1] !== LF) {
      throw new RespProtocolError('expected the end of a line behind an argument');
    }
    this.start += 2;
  }

  /** Moves the unread bytes to the beginning, and doubles the memory if that is not enough. */
  private makeRoom(): void {
    const used = this.end - this.start;
    const large = used + LEAST_TARGET_BYTES > this.scratch.byteLength;
    const next = large ? Buffer.allocUnsafe(2 * this.scratch.byteLength) : this.scratch;
    this.scratch.copy(next, 0, this.start, this.end);
    this.scratch = next;
    this.start = 0;
    this.end = used;
  }
}
