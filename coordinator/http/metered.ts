import type { Quotas } from '../quota/quotas.js';
import type { HttpRoute } from './route.js';

/** A route whose requests count against the limits of their key or subject. Routes that read or delete, and those of operators, are free. */
export function metered(route: HttpRoute, quotas: Quotas): HttpRoute {
  if (route.access !== 'key' || (route.method !== 'POST' && route.method !== 'PUT')) return route;
  return {
    ...route,
    handle: (exchange) => {
      const use = quotas.begin(exchange.principal, route.repeats?.(exchange) ? 'repeated' : 'computed');
      if (use === null) return route.handle(exchange);
      exchange.answerHeaders(use.headers());
      try {
        return route.handle({ ...exchange, use });
      } finally {
        // After the route has begun, so that an answer that outlives the connection can hold the use.
        exchange.onClose(() => use.end());
      }
    },
  };
}
