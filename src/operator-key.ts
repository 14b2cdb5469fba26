import { createHmac } from 'node:crypto';

/**
 * The API key with the role `operator`, derived from a fleet's cluster secret. A holder of the secret can act as a member of the fleet anyway, and so
 * may also operate it over HTTP.
 */
export function operatorKey(clusterSecret: string): string {
  return `operator-${createHmac('sha256', clusterSecret).update('shoal/operator-key/1').digest('hex')}`;
}
