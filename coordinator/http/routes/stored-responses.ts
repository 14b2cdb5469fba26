import { ApiError } from '../../openai/api-error.js';
import { inputItems, inputItemsQuery } from '../../responses/input-items.js';
import type { ResponseStore } from '../../responses/response-store.js';
import { INPUT_ITEMS_ANSWER, RESPONSE_ANSWER } from '../answer-schemas.js';
import { type HttpRoute, json } from '../route.js';

/** `GET` and `DELETE /v1/responses/{id}`, and `GET /v1/responses/{id}/input_items`: stored answers of the Responses API. */
export function storedResponseRoutes(store: ResponseStore | null): HttpRoute[] {
  const path = '/v1/responses/:id';
  return [
    {
      method: 'GET',
      path,
      about: { summary: 'Reads a stored response.', answer: RESPONSE_ANSWER },
      access: 'key',
      pages: 'allowed',
      handle: async ({ params, principal, signal, target }) => {
        const id = params.id ?? '';
        if (queryOf(target).get('stream') === 'true')
          throw new ApiError(400, 'stream: is not supported for stored responses; leave it out', { param: 'stream' });
        const stored = await store?.load(principal, id, signal);
        if (!stored) throw notFound(id);
        return { kind: 'text', contentType: 'application/json; charset=utf-8', text: stored.response };
      },
    },
    {
      method: 'GET',
      path: `${path}/input_items`,
      about: { summary: 'Lists the input of a stored response, the newest item first.', answer: INPUT_ITEMS_ANSWER },
      access: 'key',
      pages: 'allowed',
      handle: async ({ params, principal, signal, target }) => {
        const id = params.id ?? '';
        const query = inputItemsQuery(queryOf(target));
        const stored = await store?.load(principal, id, signal);
        if (!stored) throw notFound(id);
        return json(inputItems(stored, query));
      },
    },
    {
      method: 'DELETE',
      path,
      about: { summary: 'Deletes a stored response.' },
      access: 'key',
      pages: 'allowed',
      handle: async ({ params, principal, signal }) => {
        const id = params.id ?? '';
        if (!(await store?.remove(principal, id, signal))) throw notFound(id);
        return json({ id, object: 'response', deleted: true });
      },
    },
  ];
}

function queryOf(target: string): URLSearchParams {
  return new URLSearchParams(target.split('?', 2)[1]);
}

function notFound(id: string): ApiError {
  return new ApiError(404, `id: no stored response '${id}'; it was not stored, has expired or gave way to others`, {
    param: 'id',
    code: 'response_not_found',
  });
}
