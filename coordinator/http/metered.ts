import type { Quotas } from '../quota/quotas.js';
import type { HttpRoute } from './route.js';

/** A route whose requests count against the limits of their key or subject. Reading routes and those of operators are free. */
export function metered(route: HttpRoute, quotas: Quotas): HttpRoute {
  if (route.method !== 'POST' || route.access !== 'key') return route;
  return {
    ...route,
    handle: (exchange) => {
      const use = quotas.begin(exchange.principal);
      if (use === null) return route.handle(exchange);
      exchange.onClose(() => use.end());
      exchange.answerHeaders(use.headers());
      return route.handle({ ...exchange, use });
    },
  };
}
