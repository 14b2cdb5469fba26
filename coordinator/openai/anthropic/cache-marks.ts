import type { z } from 'zod';
import type { CacheControl, MessageInput } from './message-input.js';

/** The places up to which a request of the Messages API asks for its prompt to be kept. */

type Control = z.infer<typeof CacheControl>;

export interface MarkedRequest extends MessageInput {
  readonly tools?: readonly { readonly cache_control?: Control }[] | undefined;
  readonly cache_control?: Control;
}

/** The part of a request before the end of a marked block. */
export interface CacheMark {
  /** Null: all of it. */
  readonly input: MessageInput | null;
  readonly ttl: '5m' | '1h';
}

/** The last mark for an hour, and the last of all, where it stands after that. What comes before a mark is kept with it. */
export function cacheMarks({ tools = [], system, messages, cache_control: whole }: MarkedRequest): CacheMark[] {
  const found: CacheMark[] = [];
  const add = (control: Control, input: CacheMark['input']) => {
    if (control) found.push({ input, ttl: control.ttl ?? '5m' });
  };
  add(tools.findLast(({ cache_control: control }) => control)?.cache_control, { messages: [] });
  if (typeof system === 'object')
    for (const [k, block] of system.entries())
      add(block.cache_control, { messages: [], system: system.slice(0, k + 1) });
  for (const [i, message] of messages.entries()) {
    for (const [k, block] of message.content.entries()) {
      if (!('cache_control' in block)) continue;
      const isLast = i === messages.length - 1 && k === message.content.length - 1;
      const before = () => [...messages.slice(0, i), { ...message, content: message.content.slice(0, k + 1) }];
      if (block.cache_control)
        add(block.cache_control, isLast ? null : { system, messages: before() as MessageInput['messages'] });
    }
  }
  add(whole, null);
  const long = found.findLast(({ ttl }) => ttl === '1h');
  return [...new Set([long, found.at(-1)])].filter((mark) => mark !== undefined);
}
