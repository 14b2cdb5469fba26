import type { Log } from '../../src/log.js';

/** Names that are remembered, so that each is logged once. */
const NAMES = 256;
/** Other names are not shown: they may be part of a prompt. */
const PARAMETER_NAME = /^[a-z_][\w.-]{0,63}$/i;

/** Logs each unknown name of a request body once in the life of the process. */
export class IgnoredNames {
  private readonly seen = new Set<string>();

  constructor(private readonly log: Log) {}

  /** Notes the unknown names of one request. */
  note(route: string, names: readonly string[]): void {
    const shown = names.map((name) => (PARAMETER_NAME.test(name) ? name : 'another text'));
    const fresh = shown.filter((name) => this.seen.size < NAMES && !this.seen.has(name) && this.seen.add(name));
    if (fresh.length > 0) this.log.warn({ route, parameters: fresh }, 'ignored unknown parameters');
  }
}
