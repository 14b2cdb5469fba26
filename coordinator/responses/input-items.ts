import { z } from 'zod';
import { ApiError } from '../openai/api-error.js';
import type { ConversationItem } from '../openai/responses/conversation-item.js';
import type { StoredResponse } from './response-store.js';

/** The input of a stored response, as `GET /v1/responses/{id}/input_items` lists it. */

/** Items in one page. */
const PAGE_ITEMS = 100;
const DEFAULT_ITEMS = 20;

export interface InputItemsQuery {
  readonly limit: number;
  readonly order: 'asc' | 'desc';
  /** The id of the item before the page; null for the first page. */
  readonly after: string | null;
}

/** @throws ApiError that names the wrong parameter */
export function inputItemsQuery(query: URLSearchParams): InputItemsQuery {
  const [limit, order] = [query.get('limit') ?? `${DEFAULT_ITEMS}`, query.get('order') ?? 'desc'];
  if (!/^\d{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > PAGE_ITEMS)
    throw wrong('limit', `must be an integer from 1 to ${PAGE_ITEMS}`);
  if (order !== 'asc' && order !== 'desc') throw wrong('order', 'must be asc or desc');
  return { limit: Number(limit), order, after: query.get('after') };
}

const Answer = z.looseObject({ id: z.string(), output: z.array(z.unknown()) });

/**
 * A page of the items that the model saw, those of earlier responses included, without its instructions.
 * @throws ApiError if `after` names none of them
 */
export function inputItems({ response, items }: StoredResponse, { limit, order, after }: InputItemsQuery): object {
  const { id, output } = Answer.parse(JSON.parse(response));
  const seen = new Set<string>();
  const all = items.slice(0, items.length - output.length).map((item, i) => {
    const name = `${id.slice('resp_'.length)}_in${i}`;
    const found = listed(item, name);
    // A conversation may refer to one item twice, and a page begins after the one item that an id names.
    const shown = seen.has(found.id) ? { ...found, id: `item_${name}` } : found;
    seen.add(shown.id);
    return shown;
  });
  if (order === 'desc') all.reverse();
  const start = after === null ? 0 : all.findIndex((item) => item.id === after) + 1;
  if (after !== null && start === 0)
    throw wrong('after', `no item '${after.slice(0, 200)}' in the input of the response`);
  const data = all.slice(start, start + limit);
  const has_more = start + limit < all.length;
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more };
}

interface ListedItem extends Readonly<Record<string, unknown>> {
  readonly id: string;
}

/** @param name what the id of an item without one ends with */
function listed(item: ConversationItem, name: string): ListedItem {
  switch (item.type) {
    case 'message': {
      const type = item.role === 'assistant' ? 'output_text' : 'input_text';
      const annotations = item.role === 'assistant' ? { annotations: [] } : {};
      const content = [{ type, text: item.content, ...annotations }];
      return { ...item, id: item.id ?? `msg_${name}`, status: 'completed', content };
    }
    case 'function_call':
      return { ...item, id: item.id ?? `fc_${name}`, status: 'completed' };
    case 'function_call_output':
      return { ...item, id: `fco_${name}`, status: 'completed' };
    case 'reasoning':
      return {
        ...item,
        id: item.id ?? `rs_${name}`,
        summary: [],
        content: [{ type: 'reasoning_text', text: item.content }],
      };
  }
}

function wrong(param: string, why: string): ApiError {
  return new ApiError(400, `${param}: ${why}`, { param });
}
