import type { Clock } from '../../src/clock.js';
import type { BlockMeta, SealedBlock } from '../../src/core/block.js';
import { blockKeys, rootSeed } from '../../src/core/key.js';
import { adapterOf, type KvDependence, regimeOf } from '../../src/core/kv-dependence.js';
import { type Maker, sameMaker } from '../../src/core/maker.js';
import type { Device } from '../../src/device/device.js';
import type { Engine, EnginePrompt } from '../../src/engine/engine.js';
import { type GenerateEvent, type GenerateRequest, unpackTokens } from '../../src/protocol/generate.js';
import type { Random } from '../../src/random.js';
import type { BlockStore } from '../cache/block-store.js';
import { AuditedBlocks } from './audited-blocks.js';
import { IdleRuns } from './idle-runs.js';
import { type Exhibits, type Judgement, Recomputation } from './recomputation.js';

/** Recomputes a share of the hits, and confirms others' findings. */

/** Audits that wait. More are not begun. */
const AUDITS_WAITING = 16;
/** Limit on the tokens that one audit computes, beyond the tokens known to be right. */
const AUDIT_TOKENS = 4_096;

/** A wrong block, and the prompt that ends with it. */
export interface WrongBlock extends EnginePrompt {
  readonly block: SealedBlock;
}

export interface AuditorOptions {
  readonly self: Maker;
  readonly fingerprint: string;
  readonly engine: Engine;
  readonly store: BlockStore;
  readonly device: Device;
  readonly dependence: KvDependence;
  readonly clock: Clock;
  readonly random: Random;
  /** One answer of so many that used cached blocks is audited; 0 for none. */
  readonly oneIn: number;
  /** The first wrong block of a prompt, while its memory is still as it was. Blocks after it are wrong too, which says nothing about their makers. */
  readonly onWrong: (wrong: WrongBlock) => Promise<void>;
  readonly onAudited: (outcome: AuditOutcome) => void;
  readonly onFailed: (error: unknown) => void;
}

/** `skipped`: there was no time, or nothing left to compare. */
export type AuditOutcome = 'right' | 'wrong' | 'skipped';

/** Judges blocks by computing them again, one prompt at a time, off the reply path. */
export class Auditor {
  private readonly audited: AuditedBlocks;
  private readonly runs: IdleRuns;
  private readonly waiting: (() => Promise<void>)[] = [];
  private working: Promise<void> | null = null;
  private stopped = false;

  constructor(private readonly options: AuditorOptions) {
    this.audited = new AuditedBlocks(options.store);
    this.runs = new IdleRuns(options.engine, options.clock);
  }

  /** Passes the events of a request through, and draws whether to audit it if it used cached blocks. */
  watch(request: GenerateRequest, events: AsyncIterable<GenerateEvent>): AsyncIterable<GenerateEvent> {
    this.runs.interrupt();
    return this.options.oneIn === 0 ? events : this.watched(request, events);
  }

  /** Audits the beginning of a prompt in its turn. False if too many wait. */
  audit(prompt: EnginePrompt): boolean {
    return this.enqueue(() => this.auditPrompt(prompt));
  }

  /** Judges copies of a prompt's blocks in its turn. Null if there was no time. */
  judge(prompt: EnginePrompt, exhibits: Exhibits): Promise<readonly Judgement[] | null> {
    return new Promise((resolve) => {
      const work = async () => {
        try {
          resolve(await this.recompute(prompt, exhibits));
        } catch (error) {
          resolve(null);
          throw error;
        }
      };
      if (!this.enqueue(work)) resolve(null);
    });
  }

  /** Resolves when no audit runs, and none will. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.runs.stop();
    await this.working;
  }

  /** Resolves when no audit waits or runs. */
  async idle(): Promise<void> {
    while (this.working) await this.working;
  }

  private async *watched(
    request: GenerateRequest,
    events: AsyncIterable<GenerateEvent>,
  ): AsyncGenerator<GenerateEvent> {
    for await (const event of events) {
      if (event.type === 'start') this.hit(request, event.cached.local + event.cached.remote);
      yield event;
    }
  }

  private hit({ tokens, salt, adapter }: GenerateRequest, cachedTokens: number): void {
    const { oneIn, random, dependence } = this.options;
    if (cachedTokens === 0 || oneIn === 0 || random.below(oneIn) !== 0) return;
    const prompt = unpackTokens(tokens);
    // The beginning of a long sequence, computed by itself, would be a short sequence, with different K/V.
    if (regimeOf(dependence, prompt.length) === 'long') this.options.onAudited('skipped');
    else this.audit({ tokens: prompt.slice(0, cachedTokens), salt, adapter });
  }

  private enqueue(work: () => Promise<void>): boolean {
    if (this.stopped || this.waiting.length >= AUDITS_WAITING) {
      this.options.onAudited('skipped');
      return false;
    }
    this.waiting.push(work);
    this.working ??= this.work().finally(() => {
      this.working = null;
    });
    return true;
  }

  private async work(): Promise<void> {
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) await next().catch(this.options.onFailed);
  }

  private async auditPrompt(prompt: EnginePrompt): Promise<void> {
    const blocks = this.blocksOf(prompt);
    const begin = blocks.findIndex(({ key }) => !this.isAudited(key));
    const { blockTokens } = this.options.device.layout;
    const end = begin === -1 ? 0 : Math.min(blocks.length, begin + Math.ceil(AUDIT_TOKENS / blockTokens));
    const part = blocks.slice(Math.max(0, begin), end);
    if (!part.some(({ key }) => this.isForeign(key))) return this.options.onAudited('skipped');
    const beginning = { ...prompt, tokens: prompt.tokens.subarray(0, end * blockTokens) };
    const judgements = await this.recompute(beginning, this.storedBlocks());
    if (judgements === null) return this.options.onAudited('skipped');
    await this.report(prompt, part, judgements);
  }

  private async report(
    prompt: EnginePrompt,
    part: readonly BlockMeta[],
    judgements: readonly Judgement[],
  ): Promise<void> {
    const { onAudited, onWrong, device } = this.options;
    const judged = new Map(judgements.map((judgement) => [judgement.block.key, judgement]));
    for (const { key, index } of part) {
      const found = judged.get(key);
      // An evicted block cannot be compared, and neither can the blocks computed on top of it.
      if (found === undefined) break;
      if (found.right) continue;
      onAudited('wrong');
      const tokens = prompt.tokens.slice(0, (index + 1) * device.layout.blockTokens);
      return onWrong({ block: found.block, tokens, salt: prompt.salt, adapter: prompt.adapter });
    }
    onAudited('right');
  }

  /** The judgements of all attempts; null if there was no time. */
  private async recompute(prompt: EnginePrompt, exhibits: Exhibits): Promise<readonly Judgement[] | null> {
    const { store, device } = this.options;
    const attempts: Recomputation[] = [];
    const attempt = () => {
      const made = new Recomputation({ store, device, audited: this.audited, exhibits });
      attempts.push(made);
      return made;
    };
    const last = await this.runs.run(prompt, attempt).finally(() => Promise.all(attempts.map((made) => made.done())));
    const judgements = attempts.flatMap((made) => made.judgements);
    return last === null ? null : judgements;
  }

  private storedBlocks(): Exhibits {
    const { store } = this.options;
    return {
      has: ({ key }) => store.sealed(key) !== null && !this.isAudited(key),
      of: async ({ key }) => {
        const pinned = await store.pin(key);
        return pinned === null ? [] : [pinned];
      },
    };
  }

  private isAudited(key: string): boolean {
    const sealed = this.options.store.sealed(key);
    return sealed !== null && this.audited.has(sealed);
  }

  private isForeign(key: string): boolean {
    const sealed = this.options.store.sealed(key);
    return sealed !== null && !sameMaker(sealed.maker, this.options.self);
  }

  private blocksOf({ tokens, salt, adapter: lora }: EnginePrompt): BlockMeta[] {
    const { fingerprint, device } = this.options;
    const adapter = adapterOf('short', lora?.fingerprint);
    return blockKeys(tokens, rootSeed({ fingerprint, adapter, salt }), device.layout.blockTokens);
  }
}
