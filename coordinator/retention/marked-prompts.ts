import type { Clock } from '../../src/clock.js';
import { digestOf } from '../../src/digest.js';
import { ShoalError } from '../../src/errors.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import type { Log } from '../../src/log.js';
import { PacedLog } from '../../src/paced-log.js';
import type { RetentionOrder, Retentions } from './retentions.js';

/**
 * Retains the prompts that requests mark for it. Unlike a pin, a mark is a wish: where there is no room for it, the request is still answered,
 * and its blocks are cached like any others.
 */

/** Marks that wait for their turn. */
const WAITING = 64;
/** Part of its time after which a mark is renewed by another request. */
const RENEWED_AFTER = 1 / 4;
/** Marks whose last renewal is remembered. */
const RENEWALS = 1_024;

type MarkedPrompt = Omit<RetentionOrder, 'layer' | 'mark'> & { readonly name: string | null };

export class MarkedPrompts {
  /** When each mark may be renewed, by the clock. */
  private readonly renewals = new Map<string, number>();
  private readonly log: PacedLog;
  private waiting = 0;
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly retentions: Pick<Retentions, 'add'>,
    private readonly clock: Clock,
    log: Log,
  ) {
    this.log = new PacedLog(log, clock);
  }

  /** Retains a prompt soon, unless the same one was retained a moment ago. */
  keep(prompt: MarkedPrompt): void {
    if (prompt.tokens.length < BLOCK_TOKENS) return;
    const nowMs = this.clock.now();
    const key = keyOf(prompt);
    if ((this.renewals.get(key) ?? Number.NEGATIVE_INFINITY) > nowMs) return;
    if (this.waiting >= WAITING) {
      this.log.warn({ reason: 'busy' }, 'cannot keep a marked prompt');
      return;
    }
    this.renewals.delete(key);
    this.renewals.set(key, nowMs + prompt.ttlMs * RENEWED_AFTER);
    if (this.renewals.size > RENEWALS) this.renewals.delete(this.renewals.keys().next().value!);
    this.waiting++;
    // One by one: all change the same list.
    this.last = this.last.then(() => this.add(prompt, key));
  }

  /** Resolves once all prompts so far are retained or refused. @internal exported for tests. */
  settled(): Promise<void> {
    return this.last;
  }

  private async add({ name, ...order }: MarkedPrompt, key: string): Promise<void> {
    try {
      const added = await this.retentions.add({ ...order, layer: null, mark: { name } });
      if (!('type' in added)) return;
      this.log.warn({ reason: added.type }, 'cannot keep a marked prompt');
      this.renewals.delete(key);
    } catch (error) {
      this.renewals.delete(key);
      if (error instanceof ShoalError) this.log.warn({ reason: error.message }, 'cannot keep a marked prompt');
      else this.log.error({ err: error }, 'cannot keep a marked prompt');
    } finally {
      this.waiting--;
    }
  }
}

function keyOf({ tokens, owner, salt, adapter, name }: MarkedPrompt): string {
  const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  return JSON.stringify([owner, salt, adapter?.fingerprint ?? '', name, digestOf(bytes)]);
}
