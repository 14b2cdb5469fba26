import type { Fault } from './faults.js';

/** Counts what seeds drew: each variant of each fault, and each trait. */
export class Draws {
  /** Faults by name. */
  readonly faults: Record<string, number> = {};
  /** Seeds by trait. */
  readonly traits: Record<string, number> = {};

  add(faults: readonly Fault[], traits: readonly string[]): void {
    for (const fault of faults) count(this.faults, nameOf(fault));
    for (const trait of traits) count(this.traits, trait);
  }
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** The name of a fault's kind, with the variant where there are some. */
function nameOf(fault: Fault): string {
  switch (fault.kind) {
    case 'kill':
    case 'pause':
    case 'flap':
      return `${fault.kind} a ${roleOf(fault.host)}`;
    case 'isolate': {
      const roles = new Set(fault.hosts.map(roleOf));
      const whom =
        fault.hosts.length === 1 ? `a ${roleOf(fault.hosts[0]!)}` : `half of the ${[...roles].join('s and ')}s`;
      return `isolate ${whom}${fault.ways === 'both' ? '' : ', one way'}`;
    }
    case 'partition':
      return `partition, ${fault.bothWays ? 'both ways' : 'one way'}`;
    case 'slow':
      return fault.speed === 1 ? 'slow messages' : 'slow messages and payloads';
    case 'nats unreliable':
      return fault.duplicates > 0 ? 'nats loses and duplicates' : 'nats loses';
    case 'nats store':
      return `store of nats ${fault.how}`;
    case 'disk':
      return `disk ${fault.how}`;
    default:
      return fault.kind;
  }
}

function roleOf(host: string): string {
  return host.replace(/-.*/, '');
}
