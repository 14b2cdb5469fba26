import { InvalidRequest } from '../../errors.js';
import type { WireValue } from '../messages.js';
import { ErrorClasses } from '../values/error-value.js';
import { packValue, unpackValue, type ValueHooks } from '../values/value.js';
import { type HandleCalls, HandleState, handleState, makeHandle } from './handle.js';

/** MessageValues of one process in messages: with its handles, and its classes of errors. */
export class MessageValues {
  readonly errors = new ErrorClasses();
  private readonly hooks: ValueHooks;

  constructor(calls: HandleCalls) {
    this.hooks = {
      pack: (value) => {
        const state = handleState(value);
        return state && { tag: 'actor', content: state };
      },
      unpack: (tag, content) => {
        if (tag !== 'actor') return undefined;
        const state = HandleState.safeParse(content);
        if (!state.success) throw new InvalidRequest('a message has a handle that is malformed');
        return makeHandle(state.data, calls);
      },
    };
  }

  pack(value: unknown): WireValue {
    const { plain, tagged } = packValue(value, this.hooks);
    return { plain, tagged };
  }

  async unpack({ plain, tagged }: WireValue): Promise<unknown> {
    return unpackValue(plain, tagged, this.hooks);
  }

  /** The arguments of a call. */
  async unpackList(value: WireValue): Promise<readonly unknown[]> {
    const list = await this.unpack(value);
    if (Array.isArray(list)) return list;
    throw new InvalidRequest('a message has arguments that are no list');
  }
}
