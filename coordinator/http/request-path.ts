import { ApiError } from '../openai/api-error.js';

/** The path of a request, as messages show it. */

export interface RequestWithPath {
  readonly method: string;
  readonly url: string;
}

/** The path without the query, which may hold private text. */
export function pathOf({ url }: RequestWithPath): string {
  return url.split('?', 1)[0]!;
}

/** Throws a 404. */
export function unknownPath(request: RequestWithPath): never {
  throw new ApiError(404, `no route for ${request.method} ${pathOf(request)}`, { code: 'unknown_url' });
}
