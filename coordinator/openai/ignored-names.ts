import type { Log } from '../../src/log.js';

/** Names that are remembered, so that each is logged once. */
const NAMES = 256;

/** Logs each unknown name of a request body once in the life of the process. */
export class IgnoredNames {
  private readonly seen = new Set<string>();

  constructor(private readonly log: Log) {}

  /** Notes the unknown names of one request. */
  note(route: string, names: readonly string[]): void {
    const fresh = names.filter((name) => this.seen.size < NAMES && !this.seen.has(name) && this.seen.add(name));
    if (fresh.length > 0) this.log.warn({ route, parameters: fresh }, 'ignored unknown parameters');
  }
}
