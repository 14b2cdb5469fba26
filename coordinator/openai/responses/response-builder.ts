import type { Delta, FinishReason } from '../choice.js';
import { type Block, type BlockEvent, Blocks } from '../message/blocks.js';
import { argumentsOf } from '../message/whole-call.js';
import type { Tally } from '../tally.js';
import type { AnswerBuilder, NamedEvent } from '../translated-answer.js';
import type { ConversationItem } from './conversation-item.js';

export interface ResponseHead {
  /** `resp_` and the common ending of its items' ids. */
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  /** Fields of the request that the answer repeats. */
  readonly echoed: Readonly<Record<string, unknown>>;
  /** Stores the complete answer, with its items. False if it cannot be stored. Null: it is not to be stored. */
  readonly keep: ((response: object, output: readonly ConversationItem[]) => Promise<boolean>) | null;
}

/** Names of the events of a block, and the index of its part. */
const EVENTS = {
  text: { name: 'output_text', field: 'text', part: { content_index: 0 } },
  reasoning: { name: 'reasoning_text', field: 'text', part: { content_index: 0 } },
  call: { name: 'function_call_arguments', field: 'arguments', part: {} },
} as const;

/** Builds an answer of `POST /v1/responses`. */
export class ResponseBuilder implements AnswerBuilder {
  private readonly blocks = new Blocks();
  private sequence = 0;
  private finish: FinishReason | null = null;
  private stored: boolean;

  constructor(
    private readonly head: ResponseHead,
    private readonly tally: Tally,
  ) {
    this.stored = head.keep !== null;
  }

  begin(): NamedEvent[] {
    return ['created', 'in_progress'].map((name) =>
      this.event(`response.${name}`, { response: this.response('in_progress') }),
    );
  }

  take(delta: Delta): NamedEvent[] {
    this.finish = delta.finish ?? this.finish;
    return delta.inOrder.flatMap((pieces) => this.blocks.take(pieces).flatMap((event) => this.eventsOf(event)));
  }

  async end(): Promise<NamedEvent[]> {
    const closed = this.blocks.end().flatMap((event) => this.eventsOf(event));
    const items = this.blocks.all.map((block) => this.conversationItem(block));
    this.stored = (await this.head.keep?.(this.whole(), items)) ?? false;
    const response = this.whole();
    return [...closed, this.event(`response.${this.status}`, { response })];
  }

  whole(): object {
    return this.response(this.status);
  }

  private get status(): 'completed' | 'incomplete' {
    return this.finish === 'length' ? 'incomplete' : 'completed';
  }

  private eventsOf({ type, block, piece }: BlockEvent): NamedEvent[] {
    const { name, field, part } = EVENTS[block.kind];
    const at = { item_id: this.itemId(block), output_index: block.index };
    const item = (shown: Block, status: Parameters<typeof this.itemOf>[1]) => ({
      output_index: block.index,
      item: this.itemOf(shown, status),
    });
    // What came with the beginning of a block follows as a piece.
    const begun = { ...block, text: '' };
    const content = (shown: Block) => ({ ...at, content_index: 0, part: partOf(shown) });
    const logprobs = block.kind === 'text' ? { logprobs: [] } : {};
    switch (type) {
      case 'open':
        return [
          this.event('response.output_item.added', item(begun, 'in_progress')),
          ...(block.kind === 'call' ? [] : [this.event('response.content_part.added', content(begun))]),
        ];
      case 'piece':
        return [this.event(`response.${name}.delta`, { ...at, ...part, delta: piece, ...logprobs })];
      case 'close':
        return [
          this.event(`response.${name}.done`, { ...at, ...part, ...nameOf(block), [field]: block.text, ...logprobs }),
          ...(block.kind === 'call' ? [] : [this.event('response.content_part.done', content(block))]),
          this.event('response.output_item.done', item(block, this.closedStatus(block))),
        ];
    }
  }

  /** The answer may have been cut within its last item. */
  private closedStatus({ index }: Block): 'completed' | 'incomplete' {
    return index === this.blocks.all.length - 1 ? this.status : 'completed';
  }

  private event(type: string, fields: object): NamedEvent {
    return { type, sequence_number: this.sequence++, ...fields } as NamedEvent;
  }

  private itemId({ index, kind }: Block): string {
    const prefix = { text: 'msg', reasoning: 'rs', call: 'fc' }[kind];
    return `${prefix}_${this.head.id.slice('resp_'.length)}_${index}`;
  }

  private itemOf(block: Block, status: 'in_progress' | 'completed' | 'incomplete'): object {
    const isCut = status === 'completed' && block.kind === 'call' && argumentsOf(block.text) === null;
    const own = { id: this.itemId(block), status: isCut ? 'incomplete' : status };
    const content = status === 'in_progress' ? [] : [partOf(block)];
    switch (block.kind) {
      case 'text':
        return { ...own, type: 'message', role: 'assistant', content };
      case 'reasoning':
        return { ...own, type: 'reasoning', summary: [], content };
      case 'call':
        return { ...own, type: 'function_call', call_id: block.id, name: block.name, arguments: block.text };
    }
  }

  private conversationItem(block: Block): ConversationItem {
    const id = this.itemId(block);
    switch (block.kind) {
      case 'text':
        return { type: 'message', id, role: 'assistant', content: block.text };
      case 'reasoning':
        return { type: 'reasoning', id, content: block.text };
      case 'call':
        return { type: 'function_call', id, call_id: block.id, name: block.name, arguments: block.text };
    }
  }

  private response(status: 'in_progress' | 'completed' | 'incomplete'): object {
    const { id, created, model, echoed } = this.head;
    const output = this.blocks.all.map((block) => this.itemOf(block, this.closedStatus(block)));
    return {
      ...{ id, object: 'response', created_at: created, status, model, output: status === 'in_progress' ? [] : output },
      ...{ error: null, incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null },
      ...echoed,
      ...{ store: this.stored, background: false, truncation: 'disabled' },
      ...(status === 'in_progress' ? { usage: null } : this.usage()),
    };
  }

  private usage(): object {
    const { usage } = this.tally;
    return {
      usage: {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: usage.prompt_tokens_details,
        output_tokens: usage.completion_tokens,
        output_tokens_details: usage.completion_tokens_details ?? { reasoning_tokens: 0 },
        total_tokens: usage.total_tokens,
      },
      shoal: usage.shoal,
    };
  }
}

function nameOf({ kind, name }: Block): object {
  return kind === 'call' ? { name } : {};
}

function partOf({ kind, text }: Block): object {
  return kind === 'reasoning'
    ? { type: 'reasoning_text', text }
    : { type: 'output_text', text, annotations: [], logprobs: [] };
}
