import type { AnswerHead } from '../answer.js';
import type { Delta, FinishReason, StopReason } from '../choice.js';
import type { Mark } from '../mark.js';
import { type Block, type BlockEvent, Blocks } from '../message/blocks.js';
import { argumentsOf } from '../message/whole-call.js';
import type { Tally } from '../tally.js';
import type { AnswerBuilder, NamedEvent } from '../translated-answer.js';

const HOUR_MS = 3_600_000;

/** Builds an answer of `POST /v1/messages`. */
export class MessageBuilder implements AnswerBuilder {
  private readonly blocks = new Blocks();
  private finish: FinishReason | null = null;
  private stop: StopReason = null;

  constructor(
    private readonly head: AnswerHead,
    private readonly tally: Tally,
    /** Those for an hour come first. */
    private readonly marks: readonly Mark[],
  ) {}

  begin(): NamedEvent[] {
    const message = { ...this.message(), usage: { ...this.usage(), output_tokens: 0 } };
    return [event('message_start', { message })];
  }

  take(delta: Delta): NamedEvent[] {
    this.finish = delta.finish ?? this.finish;
    this.stop = delta.stopReason ?? this.stop;
    return delta.inOrder.flatMap((pieces) => this.blocks.take(pieces)).flatMap(eventsOf);
  }

  end(): NamedEvent[] {
    return [
      ...this.blocks.end().flatMap(eventsOf),
      event('message_delta', { delta: this.ending(), usage: this.usage(), shoal: this.tally.usage.shoal }),
      event('message_stop', {}),
    ];
  }

  whole(): object {
    const content = this.blocks.all.filter(isWhole).map(wholeBlock);
    return { ...this.message(), content, ...this.ending(), usage: this.usage(), shoal: this.tally.usage.shoal };
  }

  private message(): object {
    const { id, model } = this.head;
    return { id, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null };
  }

  private ending(): object {
    const sequence = typeof this.stop === 'string' && this.finish === 'stop' ? this.stop : null;
    const reasons = {
      tool_calls: 'tool_use',
      length: 'max_tokens',
      stop: sequence === null ? 'end_turn' : 'stop_sequence',
    };
    return { stop_reason: reasons[this.finish ?? 'stop'], stop_sequence: sequence };
  }

  private usage(): object {
    const { prompt_tokens: prompt, completion_tokens: output, prompt_tokens_details: details } = this.tally.usage;
    const { cached_tokens: cached } = details;
    // Of what is marked, the tokens that were not in the cache, and are now.
    const kept = (marks: readonly Mark[]) => Math.max(0, ...marks.map(({ tokens }) => tokens.length - cached));
    const [created, forAnHour] = [kept(this.marks), kept(this.marks.filter(({ ttlMs }) => ttlMs === HOUR_MS))];
    return {
      input_tokens: prompt - cached - created,
      cache_read_input_tokens: cached,
      cache_creation_input_tokens: created,
      cache_creation: { ephemeral_5m_input_tokens: created - forAnHour, ephemeral_1h_input_tokens: forAnHour },
      output_tokens: output,
    };
  }
}

function event(type: string, fields: object): NamedEvent {
  return { type, ...fields };
}

function eventsOf({ type, block, piece }: BlockEvent): NamedEvent[] {
  const { index } = block;
  switch (type) {
    case 'open':
      return [event('content_block_start', { index, content_block: emptyBlock(block) })];
    case 'piece':
      return [event('content_block_delta', { index, delta: deltaOf(block, piece) })];
    case 'close':
      return [event('content_block_stop', { index })];
  }
}

function deltaOf({ kind }: Block, piece: string): object {
  switch (kind) {
    case 'text':
      return { type: 'text_delta', text: piece };
    case 'reasoning':
      return { type: 'thinking_delta', thinking: piece };
    case 'call':
      return { type: 'input_json_delta', partial_json: piece };
  }
}

function emptyBlock(block: Block): object {
  return wholeBlock({ ...block, text: block.kind === 'call' ? '{}' : '' });
}

function wholeBlock({ kind, text, id, name }: Block): object {
  switch (kind) {
    case 'text':
      return { type: 'text', text };
    case 'reasoning':
      return { type: 'thinking', thinking: text, signature: '' };
    case 'call':
      return { type: 'tool_use', id, name, input: argumentsOf(text) };
  }
}

/** A call without all of its arguments has no input that a client could use. */
function isWhole({ kind, text }: Block): boolean {
  return kind !== 'call' || argumentsOf(text) !== null;
}
