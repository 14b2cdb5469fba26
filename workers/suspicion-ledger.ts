import type { Clock } from '../src/clock.js';
import { EVIDENCE_MS } from '../src/limits.js';
import { PROMPTS_PER_SUSPICION, type QuarantinedPrompts, type SuspicionMessage } from '../src/protocol/suspicion.js';

/** A worker's record of the coordinators' evidence against prompts. Prompts appear only as fingerprints. */

/** Limits on the record; the oldest entry is dropped. */
const KEPT = { losses: 128, witnesses: 4_096, quarantined: PROMPTS_PER_SUSPICION } as const;

type Witnessed = Extract<SuspicionMessage, { type: 'witnessed' }>;
type WitnessedPrompt = Witnessed['prompts'][number];

/** A lost worker, with the prompts that had begun there. */
interface KnownLoss {
  readonly from: string;
  readonly worker: string;
  readonly incarnation: string;
  readonly atMs: number;
  /** The worker was killed deliberately, not by a prompt. */
  killed: boolean;
  /** With the time at which each was placed. */
  readonly prompts: Map<string, { readonly said: WitnessedPrompt; readonly placedMs: number }>;
}

export class SuspicionLedger {
  private readonly losses = new Map<string, KnownLoss>();
  /** By prompt. `request` is null if all requests with it are refused. */
  private readonly quarantined = new Map<string, { readonly request: string | null; readonly untilMs: number }>();

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    /** The id of this worker, as the sender of messages that combine several coordinators'. */
    private readonly self: string,
  ) {}

  /** Records a message. Returns whether it was news. Claims, and messages of mere presence, are never recorded. */
  take(message: SuspicionMessage): boolean {
    this.expire();
    switch (message.type) {
      case 'witnessed':
        return this.witnessed(message);
      case 'killed': {
        const loss = this.lossOf(message, 0);
        if (loss.killed) return false;
        loss.killed = true;
        loss.prompts.clear();
        return true;
      }
      case 'cleared': {
        return message.losses.map((instance) => this.cleared(instance, message)).includes(true);
      }
      case 'quarantined':
        return message.prompts.map((each) => this.convicted(each)).includes(true);
      default:
        return false;
    }
  }

  /** The whole record, as messages to a new coordinator. */
  list(): SuspicionMessage[] {
    this.expire();
    const nowMs = this.clock.now();
    const messages: SuspicionMessage[] = [];
    for (const { from, worker, incarnation, atMs, killed, prompts } of this.losses.values()) {
      if (killed) messages.push({ type: 'killed', from, worker, incarnation });
      if (prompts.size === 0) continue;
      const said = [...prompts.values()].map((one) => ({ ...one.said, ranMs: nowMs - one.placedMs }));
      messages.push({ type: 'witnessed', from, worker, incarnation, agoMs: nowMs - atMs, prompts: said });
    }
    const prompts = [...this.quarantined].map(([prompt, { request, untilMs }]) => {
      return { prompt, request, forMs: untilMs - nowMs };
    });
    if (prompts.length > 0) messages.push({ type: 'quarantined', from: this.self, prompts });
    return messages;
  }

  private witnessed(message: Witnessed): boolean {
    const nowMs = this.clock.now();
    if (message.agoMs >= EVIDENCE_MS) return false;
    const loss = this.lossOf(message, message.agoMs);
    if (loss.killed) return false;
    let news = false;
    for (const said of message.prompts) {
      if (loss.prompts.has(said.prompt) || this.quarantined.get(said.prompt)?.request === null) continue;
      if (loss.prompts.size >= PROMPTS_PER_SUSPICION) break;
      loss.prompts.set(said.prompt, { said, placedMs: nowMs - said.ranMs });
      news = true;
    }
    this.bound();
    return news;
  }

  /** A second request with the same prompt convicts the prompt. */
  private convicted({ prompt, request: said, forMs }: QuarantinedPrompts[number]): boolean {
    const before = this.quarantined.get(prompt);
    if (forMs <= 0 || before?.request === null || (before && before.request === said)) return false;
    const request = before ? null : said;
    this.quarantined.set(prompt, { request, untilMs: this.clock.now() + Math.min(forMs, EVIDENCE_MS) });
    if (request === null) for (const loss of this.losses.values()) loss.prompts.delete(prompt);
    if (this.quarantined.size > KEPT.quarantined) this.quarantined.delete(this.quarantined.keys().next().value!);
    return true;
  }

  /** Another request with the prompt still has to get past the point of the loss. */
  private cleared(
    instance: string,
    { prompt, request }: { readonly prompt: string; readonly request: string },
  ): boolean {
    const prompts = this.losses.get(instance)?.prompts;
    return prompts?.get(prompt)?.said.request === request && prompts.delete(prompt);
  }

  private lossOf(
    { from, worker, incarnation }: Pick<Witnessed, 'from' | 'worker' | 'incarnation'>,
    agoMs: number,
  ): KnownLoss {
    const instance = `${worker} ${incarnation}`;
    const known = this.losses.get(instance);
    if (known) return known;
    const atMs = this.clock.now() - agoMs;
    const loss: KnownLoss = { from, worker, incarnation, atMs, killed: false, prompts: new Map() };
    this.losses.set(instance, loss);
    this.bound();
    return loss;
  }

  private bound(): void {
    let witnesses = 0;
    for (const { prompts } of this.losses.values()) witnesses += prompts.size;
    for (const [instance, { prompts }] of this.losses) {
      if (this.losses.size <= KEPT.losses && witnesses <= KEPT.witnesses) return;
      this.losses.delete(instance);
      witnesses -= prompts.size;
    }
  }

  private expire(): void {
    const nowMs = this.clock.now();
    for (const [instance, { atMs }] of this.losses) if (atMs + EVIDENCE_MS <= nowMs) this.losses.delete(instance);
    for (const [prompt, { untilMs }] of this.quarantined) if (untilMs <= nowMs) this.quarantined.delete(prompt);
  }
}
