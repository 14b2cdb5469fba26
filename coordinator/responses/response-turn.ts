import { ownSaltOf, type Principal } from '../access/principal.js';
import { ApiError } from '../openai/api-error.js';
import { CONVERSATION_ITEMS, type ConversationItem } from '../openai/responses/conversation-item.js';
import type { InputItem } from '../openai/responses/response-input.js';
import type { ResponseStore } from './response-store.js';

/** One request of the Responses API, as far as stored answers concern it: what came before it, and where its answer goes. */

/** Stored answers whose items one request refers to. */
const REFERRED_RESPONSES = 512;
/** Characters of a conversation: as many as a body may have. */
const CONVERSATION_CHARS = 8 * 2 ** 20;

const STORES_NONE = 'the fleet stores no answers (--response-ttl or --object-bytes is 0)';

export interface TurnRequest {
  readonly input: readonly InputItem[];
  readonly previous_response_id?: string | undefined;
  readonly store?: boolean | undefined;
  readonly cache_salt?: string | undefined;
}

export class ResponseTurn {
  private before: readonly ConversationItem[] = [];

  /** @param store null: the fleet stores no answers */
  constructor(
    private readonly store: ResponseStore | null,
    private readonly caller: { readonly principal: Principal | null; readonly signal: AbortSignal },
  ) {}

  /**
   * The whole conversation that the request continues.
   * @throws ApiError that names what is not stored
   */
  async conversation({ input, previous_response_id: previous, store }: TurnRequest): Promise<ConversationItem[]> {
    if (store === true && this.store === null)
      throw new ApiError(400, `store: is not possible, since ${STORES_NONE}; leave it out`, { param: 'store' });
    const earlier = previous === undefined ? [] : await this.itemsOf(previous, 'previous_response_id');
    const referred = await this.referred(input);
    const sent = input.map((item, i) => (item.type === 'item_reference' ? referred[i]! : item));
    checkOutputs(earlier, sent);
    const items = [...earlier, ...sent];
    if (items.length > CONVERSATION_ITEMS)
      throw tooLong(`items: it has ${items.length}, and may have ${CONVERSATION_ITEMS}`);
    if (items.reduce((sum, item) => sum + charsOf(item), 0) > CONVERSATION_CHARS)
      throw tooLong(`characters: it may have ${CONVERSATION_CHARS}`);
    this.before = items;
    return items;
  }

  /** Stores the answer to `conversation`; null if the request or the fleet has none stored. */
  keeperOf({ store, cache_salt }: TurnRequest, id: string) {
    const responses = this.store;
    if (responses === null || store === false) return null;
    const { principal, signal } = this.caller;
    const owner = { principal, salt: ownSaltOf(principal, cache_salt) };
    return (response: object, output: readonly ConversationItem[]) => {
      const items = [...this.before, ...output];
      return responses.save(owner, id, { response: JSON.stringify(response), items }, signal);
    };
  }

  /** By their index in the input, the items of earlier outputs to which it refers. Each answer is read once. */
  private async referred(input: readonly InputItem[]): Promise<Readonly<Record<number, ConversationItem>>> {
    const found: Record<number, ConversationItem> = {};
    const byResponse = new Map<string, { readonly i: number; readonly id: string }[]>();
    for (const [i, item] of input.entries()) {
      if (item.type !== 'item_reference') continue;
      const response = responseOf(item.id);
      byResponse.set(response, [...(byResponse.get(response) ?? []), { i, id: item.id }]);
    }
    if (byResponse.size > REFERRED_RESPONSES)
      throw tooLong(`references: they name ${byResponse.size} responses, and may name ${REFERRED_RESPONSES}`);
    for (const [response, references] of byResponse) {
      const items = await this.itemsOf(response, `input[${references[0]!.i}].id`, references[0]!.id);
      for (const { i, id } of references) {
        const item = items.find((each) => 'id' in each && each.id === id);
        if (item === undefined) throw notStored('item', id, `input[${i}].id`);
        found[i] = item;
      }
    }
    return found;
  }

  /** @param item the item that is looked for; by default all of them */
  private async itemsOf(id: string, param: string, item?: string): Promise<readonly ConversationItem[]> {
    if (this.store === null) {
      const why = `cannot be found, since ${STORES_NONE}; send the earlier items in input`;
      throw new ApiError(400, `${param}: ${why}`, { param });
    }
    const stored = await this.store.load(this.caller.principal, id, this.caller.signal);
    if (stored !== null) return stored.items;
    throw item === undefined ? notStored('response', id, param) : notStored('item', item, param);
  }
}

/** @throws ApiError if an item sent has the output of a call that is neither before it nor in the earlier items */
function checkOutputs(earlier: readonly ConversationItem[], sent: readonly ConversationItem[]): void {
  const calls = new Set(earlier.flatMap((item) => (item.type === 'function_call' ? [item.call_id] : [])));
  for (const [i, item] of sent.entries()) {
    if (item.type === 'function_call') calls.add(item.call_id);
    if (item.type !== 'function_call_output' || calls.has(item.call_id)) continue;
    const param = `input[${i}].call_id`;
    const id = item.call_id.slice(0, 200);
    const why = `no function_call has the call_id '${id}'; send the call before its output, or name the response with the call as previous_response_id`;
    throw new ApiError(400, `${param}: ${why}`, { param });
  }
}

/** The id of the answer with this item. The ids of items contain it. */
function responseOf(itemId: string): string {
  return `resp_${/^(?:msg|rs|fc)_(.+)_\d+$/.exec(itemId)?.[1] ?? ''}`;
}

function charsOf(item: ConversationItem): number {
  if (item.type === 'function_call') return item.arguments.length;
  return item.type === 'function_call_output' ? item.output.length : item.content.length;
}

function tooLong(why: string): ApiError {
  return new ApiError(400, `input: the conversation has too many ${why}; begin a new one`, { param: 'input' });
}

/** The codes are OpenAI's. */
const CODES = { response: 'previous_response_not_found', item: 'item_not_found' };

function notStored(what: keyof typeof CODES, id: string, param: string): ApiError {
  const why = `no stored ${what} '${id.slice(0, 200)}'; it was not stored, has expired or gave way to others`;
  return new ApiError(400, `${param}: ${why}: send the items in input`, { param, code: CODES[what] });
}
