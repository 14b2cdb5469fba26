import type { Role } from '../../src/config/grants.js';
import { ApiError } from '../openai/api-error.js';
import type { Principal } from './principal.js';

/** Which roles may use a route. `open` needs no key. */
export type RouteAccess = 'open' | 'key' | 'operator' | 'metrics';

const ROLES_OF: Readonly<Record<Exclude<RouteAccess, 'open'>, readonly Role[]>> = {
  key: ['user', 'operator'],
  operator: ['operator'],
  metrics: ['metrics', 'operator'],
};

/** Throws a 403 unless the principal's role may use the route. */
export function checkRole({ id, role }: Principal, access: Exclude<RouteAccess, 'open'>): void {
  const roles = ROLES_OF[access];
  if (roles.includes(role)) return;
  throw new ApiError(403, `authorization: needs the role ${roles.join(' or ')}; the key '${id}' has the role ${role}`, {
    code: 'role_not_allowed',
  });
}

/** Whether the caller may see what concerns the machines of the fleet. Null is a caller of an open API. */
export function mayOperate(principal: Principal | null): boolean {
  return principal === null || ROLES_OF.operator.includes(principal.role);
}
