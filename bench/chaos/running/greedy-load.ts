import { setTimeout as pause } from 'node:timers/promises';
import type { FleetApi } from '../../fleet/fleet-api.js';
import { promptsOf } from '../prefixes.js';
import { withDeadline } from './deadline.js';

const SHEETS = 6;
const NOTES = 24;
const PROMPTS_PER_SHEET = 4;
const ANSWER_TOKENS = 16;
const PAUSE_AFTER_FAILURE_MS = 100;
const REMEMBERED = 100;
/** A request whose worker is killed moves to another worker; one that takes longer than this hangs. */
const DEADLINE_MS = 120_000;

/** A closed loop of greedy requests to a fleet with any model, whose answers are compared with earlier ones. */
export class GreedyLoad {
  failed = 0;
  wrong = 0;
  /** How long each answered request took. */
  readonly answeredMs: number[] = [];
  /** The first failures and wrong answers. */
  readonly notes: string[] = [];
  private next = 0;
  private over = false;
  private running: Promise<unknown> = Promise.resolve();
  private readonly prompts = Array.from({ length: SHEETS }, (_, i) => promptsOf(NOTES, 1 + i))
    .flatMap((prompts) => prompts.slice(0, PROMPTS_PER_SHEET))
    .map(({ prompt }) => prompt);
  private readonly before = new Map<string, string>();

  constructor(
    private readonly api: FleetApi,
    private readonly model: string,
    /** Ends the load, and gives up the requests in flight, which then count neither as failed nor as answered. */
    private readonly signal: AbortSignal,
    private readonly deadlineMs = DEADLINE_MS,
  ) {}

  /** Asks each prompt once, undisturbed. @throws Error if the fleet does not answer one in time, or at the signal */
  async remember(): Promise<void> {
    for (const prompt of this.prompts) this.before.set(prompt, await this.ask(prompt));
  }

  start(clients: number): void {
    this.running = Promise.all(Array.from({ length: clients }, () => this.client()));
  }

  /** Resolves when the requests in flight have ended, each by its deadline, or at once at the signal. */
  async stop(): Promise<void> {
    this.over = true;
    await this.running;
  }

  private async client(): Promise<void> {
    while (!this.over && !this.signal.aborted) {
      const prompt = this.prompts[this.next++ % this.prompts.length]!;
      const startMs = performance.now();
      try {
        const text = await this.ask(prompt);
        this.answeredMs.push(performance.now() - startMs);
        if (text === this.before.get(prompt)) continue;
        this.wrong++;
        this.note(`answered ${JSON.stringify(text)}, before ${JSON.stringify(this.before.get(prompt))}`);
      } catch (error) {
        if (this.signal.aborted) return;
        this.failed++;
        this.note(reasonOf(error));
        await pause(PAUSE_AFTER_FAILURE_MS, undefined, { signal: this.signal }).catch(() => undefined);
      }
    }
  }

  private async ask(prompt: string): Promise<string> {
    const request = { model: this.model, prompt, max_tokens: ANSWER_TOKENS };
    const { choices } = await withDeadline(this.deadlineMs, this.signal, (signal) =>
      this.api.complete(request, {}, signal),
    );
    return choices[0]!.text;
  }

  private note(text: string): void {
    if (this.notes.length < REMEMBERED) this.notes.push(text);
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? String(error) : `${error} (${cause})`;
}
