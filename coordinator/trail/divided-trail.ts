import type { TrailEvent } from '../../src/trail/entry.js';
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
  return event.role === 'operator' ? 'rest' : 'use';
}
