import type { MessagePieces } from './message-pieces.js';

/** The parts of a message one after another, as the APIs need them that send each part with a beginning and an end. */

export interface Block {
  readonly index: number;
  readonly kind: 'reasoning' | 'text' | 'call';
  /** So far; of a call, the JSON of its arguments. */
  text: string;
  /** Of a call. */
  readonly id: string;
  readonly name: string;
}

export interface BlockEvent {
  readonly type: 'open' | 'piece' | 'close';
  readonly block: Block;
  /** The text that a piece adds. */
  readonly piece: string;
}

export class Blocks {
  readonly all: Block[] = [];
  private isOpen = false;

  take({ reasoning, text, calls }: MessagePieces): BlockEvent[] {
    return [
      ...(reasoning === '' ? [] : this.add('reasoning', reasoning)),
      ...(text === '' ? [] : this.add('text', text)),
      ...calls.flatMap(({ id, name, arguments: json, isNone }) => {
        if (isNone) return this.end();
        return id === undefined ? this.add('call', json) : this.open('call', id, name);
      }),
    ];
  }

  /** Closes the last block. */
  end(): BlockEvent[] {
    const block = this.all.at(-1);
    if (!this.isOpen || block === undefined) return [];
    this.isOpen = false;
    return [{ type: 'close', block, piece: '' }];
  }

  private add(kind: Block['kind'], piece: string): BlockEvent[] {
    const events = this.isOpen && this.all.at(-1)!.kind === kind ? [] : this.open(kind);
    const block = this.all.at(-1)!;
    block.text += piece;
    return [...events, { type: 'piece', block, piece }];
  }

  private open(kind: Block['kind'], id = '', name = ''): BlockEvent[] {
    const closed = this.end();
    const block = { index: this.all.length, kind, text: '', id, name };
    this.all.push(block);
    this.isOpen = true;
    return [...closed, { type: 'open', block, piece: '' }];
  }
}
