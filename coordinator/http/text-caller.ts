import { NO_TENANT } from '../../src/core/fair-shares.js';
import type { TextCaller } from '../../src/text/text-work.js';
import { tenantOf } from '../access/principal.js';
import type { Exchange } from './route.js';

/** The caller for whom the texts of a request are converted. */
export function textCallerOf({ principal, signal }: Pick<Exchange, 'principal' | 'signal'>): TextCaller {
  return { tenant: tenantOf(principal) ?? NO_TENANT, signal };
}
