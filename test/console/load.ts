import type { FleetApi } from '../../bench/fleet/fleet-api.js';

/** Requests that keep a fleet busy while somebody looks: prompts with common beginnings, so that there is something to find and to fetch. */

const SENTENCES = [
  'The amber key is in the harbor.',
  'The plum lamp belongs to Mara.',
  'The teal chest opens with 4821.',
  'The silver violin is in the lighthouse.',
  'The green kite belongs to Otto.',
  'The bronze clock opens with 7350.',
];

/** A prompt with one of a few beginnings, and an end of its own. */
function promptOf(number: number): string {
  const head = Array.from({ length: 40 }, (_, i) => SENTENCES[(number % 5) + ((i * 7) % 2)]).join('\n');
  return `Set ${number % 5}.\n${head}\n${SENTENCES[number % 6]}\nQ: Where is the amber key? (${number})\nA:`;
}

export class Load {
  private over = false;
  private count = 0;
  private failures = 0;
  private readonly running: Promise<void>[];
  private readonly awaited = new Set<{ readonly count: number; readonly reached: () => void }>();

  /** Keeps so many requests running. */
  constructor(
    private readonly api: FleetApi,
    concurrency: number,
    private readonly maxTokens = 24,
  ) {
    this.running = Array.from({ length: concurrency }, () => this.run());
  }

  /** Requests that were answered so far. */
  get answered(): number {
    return this.count - this.failures;
  }

  /** Resolves when so many requests have been answered. */
  reaches(count: number): Promise<void> {
    if (this.answered >= count) return Promise.resolve();
    return new Promise((reached) => this.awaited.add({ count, reached }));
  }

  /** Ends when the running requests have. Resolves with the number of requests that failed. */
  async stop(): Promise<number> {
    this.over = true;
    await Promise.all(this.running);
    return this.failures;
  }

  private async run(): Promise<void> {
    while (!this.over) {
      const body = { prompt: promptOf(this.count), max_tokens: this.maxTokens, ignore_eos: true };
      await this.api.complete(body).catch(() => this.failures++);
      this.count++;
      for (const each of this.awaited) {
        if (this.answered < each.count) continue;
        this.awaited.delete(each);
        each.reached();
      }
    }
  }
}
