import type { HttpRoute } from './route.js';

/** A path, for requests with a method that it does not have. */
export interface KnownPath {
  readonly methods: string[];
  readonly pages: HttpRoute['pages'];
}

/** The paths of routes, with all methods of each. */
export function knownPaths(routes: readonly HttpRoute[]): ReadonlyMap<string, KnownPath> {
  const known = new Map<string, KnownPath>();
  for (const { path, method, pages } of routes) {
    const { methods } = known.get(path) ?? known.set(path, { methods: [], pages }).get(path)!;
    methods.push(method, ...(method === 'GET' ? ['HEAD'] : []));
  }
  return known;
}
