import { setTimeout as pause } from 'node:timers/promises';
import { cpuSecondsFor } from './cpu-time.js';
import type { FleetApi } from './fleet-api.js';
import { recallPrompt, recallSheet } from './recall-sheet.js';

/** A closed-loop load of the recall sheets' questions, to compare rates within one run and to find failed requests and wrong answers. */

const NOTES_PER_SHEET = 16;
const QUESTIONS_PER_SHEET = 24;
const MISREAD_SHARE = 0.05;
const PAUSE_AFTER_FAILURE_MS = 50;

/** When a request was sent and answered, by `performance.now()`. */
export interface AnsweredAt {
  readonly startMs: number;
  readonly endMs: number;
}

/** One stretch of a load. */
export interface Stretch {
  readonly requests: number;
  /** Requests for each second of CPU time that the machine had for the fleet and its clients. */
  readonly requestsPerCpuSecond: number;
  /** Share of the prompts' tokens that came from a cache. */
  readonly cachedShare: number;
}

/**
 * Clients that each ask the next question as soon as the last one is answered. They move on to a fresh sheet after `QUESTIONS_PER_SHEET`
 * questions, so that prefixes are computed, announced and found at a steady rate for as long as the load runs.
 */
export class RecallLoad {
  /** Errors of requests that failed. */
  readonly failed: string[] = [];
  /** All answers in the order in which they came. */
  readonly answers: AnsweredAt[] = [];
  /** Answers other than the sheet's. */
  private readonly doubtful: { readonly prompt: string; readonly text: string }[] = [];
  private asked = 0;
  private answered = 0;
  private promptTokens = 0;
  private cachedTokens = 0;
  private over = false;
  private readonly onAnswer = new Set<() => void>();
  private readonly clients: Promise<void>[];

  constructor(
    private readonly fleet: FleetApi,
    clients: number,
    private readonly firstSeed: number,
    /** A pause after each answer in milliseconds, or what each client waits for before it asks. */
    private readonly pace: number | (() => Promise<void>) = 0,
  ) {
    this.clients = Array.from({ length: clients }, () => this.client());
  }

  /** Measures from now until `end` resolves. */
  async during(end: Promise<unknown>): Promise<Stretch> {
    const pids = await this.fleet.pids();
    const { answered, promptTokens, cachedTokens } = this;
    const cpuSeconds = cpuSecondsFor(pids);
    await end;
    const requests = this.answered - answered;
    return {
      requests,
      requestsPerCpuSecond: requests / (cpuSecondsFor(pids) - cpuSeconds),
      cachedShare: (this.cachedTokens - cachedTokens) / (this.promptTokens - promptTokens),
    };
  }

  /** Resolves when so many more requests have been answered. */
  more(count: number): Promise<void> {
    const enough = this.answered + count;
    return new Promise((resolve) => {
      const look = () => {
        if (this.answered < enough) return;
        this.onAnswer.delete(look);
        resolve();
      };
      this.onAnswer.add(look);
    });
  }

  /** A prompt of each sheet that it has asked about so far. */
  prompts(): string[] {
    const sheets = Math.ceil(this.asked / QUESTIONS_PER_SHEET);
    return Array.from({ length: sheets }, (_, i) => {
      const sheet = recallSheet(NOTES_PER_SHEET, this.firstSeed + i);
      return recallPrompt(sheet, sheet.questions[0]!.question);
    });
  }

  /** Asks nothing new. Resolves when all open requests have ended. */
  async stop(): Promise<void> {
    this.over = true;
    await Promise.all(this.clients);
  }

  /**
   * The wrong answers so far. The small model itself misreads some notes: an answer is right, too, if the model gives it with K/V that is
   * computed for that question alone.
   */
  async wrong(): Promise<string[]> {
    const wrong: string[] = [];
    for (const { prompt, text } of this.doubtful) {
      const { choices } = await this.fleet.complete({ prompt, cache_salt: prompt.slice(-64) });
      const alone = choices[0]!.text.trim();
      if (alone !== text) wrong.push(`${text}, not: ${alone}`);
    }
    if (this.doubtful.length > MISREAD_SHARE * this.answered) wrong.push(`${this.doubtful.length} misread notes`);
    return wrong;
  }

  private async client(): Promise<void> {
    while (!this.over) {
      if (typeof this.pace === 'function') await this.pace();
      const number = this.asked++;
      const sheet = recallSheet(NOTES_PER_SHEET, this.firstSeed + Math.floor(number / QUESTIONS_PER_SHEET));
      const { question, answer } = sheet.questions[number % NOTES_PER_SHEET]!;
      const startMs = performance.now();
      try {
        const prompt = recallPrompt(sheet, question);
        const { choices, usage } = await this.fleet.complete({ prompt });
        const text = choices[0]!.text.trim();
        if (text !== answer) this.doubtful.push({ prompt, text });
        this.answered++;
        this.answers.push({ startMs, endMs: performance.now() });
        this.promptTokens += usage.prompt_tokens;
        this.cachedTokens += usage.prompt_tokens_details.cached_tokens;
        for (const look of [...this.onAnswer]) look();
      } catch (error) {
        this.failed.push(String(error));
        await pause(PAUSE_AFTER_FAILURE_MS);
      }
      if (typeof this.pace === 'number' && this.pace > 0) await pause(this.pace);
    }
  }
}
