import { API_PAGE_POLICY, apiPage } from '../api-page.js';
import { openApi } from '../open-api.js';
import type { HttpRoute } from '../route.js';

/** `GET /openapi.json`, the API for programs, and `GET /docs`, the same for readers. */
export function documentRoutes(routes: readonly HttpRoute[], version: string): HttpRoute[] {
  const document = openApi(routes, version);
  const text = JSON.stringify(document);
  const page = apiPage(document);
  return [
    {
      method: 'GET',
      path: '/openapi.json',
      access: 'open',
      pages: 'allowed',
      handle: () => ({ kind: 'text', contentType: 'application/json; charset=utf-8', text }),
    },
    {
      method: 'GET',
      path: '/docs',
      access: 'open',
      pages: 'linked',
      handle: ({ answerHeaders }) => {
        answerHeaders(API_PAGE_POLICY);
        return { kind: 'text', contentType: 'text/html; charset=utf-8', text: page };
      },
    },
  ];
}
