import type { RequestEntry, TrailEvent } from '../../src/trail/entry.js';
import type { Trail } from './trail.js';

/**
 * Three files: what users were allowed to ask for fills one, what was refused another, and all else has the third. However much users ask for, and
 * whatever they or strangers are refused, nothing that an operator did, or that happened in the fleet, is rotated away.
 */
export class DividedTrail implements Trail {
  constructor(private readonly files: { readonly use: Trail; readonly refused: Trail; readonly rest: Trail }) {}

  write(event: TrailEvent): void {
    this.files[fileOf(event)].write(event);
  }
}

function fileOf(event: TrailEvent): 'use' | 'refused' | 'rest' {
  if (event.event !== 'request') return 'rest';
  if (event.decision === 'refused') return 'refused';
  return isOfOperator(event) ? 'rest' : 'use';
}

/** The routes, and commands of the Redis protocol, by which operators change the fleet and what it keeps. Users may pin and purge as well, what their tenant has. */
const OF_OPERATORS =
  /^(\/v1\/fleet\/.*|\/v1\/cache\/(pin|purge)(\/:id)?|\/reset_prefix_cache|\/v1\/(un)?load_lora_adapter|FLUSHDB)$/;

/** Where no key is needed, everyone is an operator, and most requests are for answers all the same. */
function isOfOperator({ role, route }: RequestEntry): boolean {
  return role === 'operator' || (role === null && route !== null && OF_OPERATORS.test(route));
}
