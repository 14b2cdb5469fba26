import type { TrailEvent } from '../../src/trail/entry.js';
import type { Trail } from './trail.js';

/**
 * Two files: what users were allowed to ask for fills one, and all else has the other. However much a user asks for, nothing that an operator
 * did, that was refused, or that happened in the fleet is rotated away.
 */
export class DividedTrail implements Trail {
  constructor(private readonly files: { readonly use: Trail; readonly rest: Trail }) {}

  write(event: TrailEvent): void {
    (isUse(event) ? this.files.use : this.files.rest).write(event);
  }
}

function isUse(event: TrailEvent): boolean {
  return event.event === 'request' && event.decision !== 'refused' && event.role !== 'operator';
}
