import { Draws } from './draws.js';
import type { SeedReport } from './report.js';

/** What many seeds came to. */
export class Sum {
  readonly failing: number[] = [];
  seeds = 0;
  private faults = 0;
  private virtualMs = 0;
  private events = 0;
  private requests = 0;
  private failedRequests = 0;
  private repeatedRequests = 0;
  private retained = 0;
  /** Commands on objects. */
  private objectCommands = 0;
  private failedObjectCommands = 0;
  private readonly drawn = new Draws();

  add({ result, shrunk }: SeedReport): void {
    this.seeds++;
    this.faults += result.faults.length;
    this.virtualMs += result.virtualMs;
    this.events += result.events;
    this.requests += result.requests.done;
    this.failedRequests += result.requests.failed;
    this.repeatedRequests += result.requests.repeated;
    this.retained += result.retained;
    this.objectCommands += result.objects.done;
    this.failedObjectCommands += result.objects.failed;
    this.drawn.add(result.faults, result.traits);
    if (shrunk === null) return;
    this.failing.push(result.seed);
    this.failing.sort((a, b) => a - b);
  }

  counts(): object {
    const { drawn, failing, ...totals } = this;
    return { ...totals, drawn: { faults: drawn.faults, traits: drawn.traits }, failing };
  }

  inWords(): string {
    const { seeds, faults, requests, failedRequests, failing } = this;
    const hours = (this.virtualMs / 3_600_000).toFixed(1);
    return (
      `${seeds} seeds with ${faults} faults in ${hours} virtual hours: ${requests} requests answered, ` +
      `${failedRequests} ended in an error, ${failing.length} seeds failed${failing.length > 0 ? `: ${failing.join(', ')}` : ''}`
    );
  }
}
