import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import { blockKeys, rootSeed } from '../../src/core/key.js';
import { adapterOf } from '../../src/core/kv-dependence.js';
import { type Maker, sameMaker } from '../../src/core/maker.js';
import type { EnginePrompt } from '../../src/engine/engine.js';
import { DeadlineExceeded } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { FetchSink } from '../../src/peer/client/fetch-exchange.js';
import type { PeerClient } from '../../src/peer/client/peer-client.js';
import type { Auditor } from './auditor.js';
import type { Exhibit, Judgement } from './recomputation.js';

/** Looks for evidence against a maker, from the maker's own hands. */

/** Time in which the maker must give a block that it is asked for. */
const ASK_MS = 10_000;

/** A block that is said to be wrong: the last one of this prompt. */
export interface Accusation extends EnginePrompt {
  readonly maker: Maker;
  readonly key: BlockKey;
}

/** A copy of a block, in separate memory. */
export type Copy = Pick<Exhibit, 'block' | 'bytes'>;

export interface EvidenceSearchOptions {
  readonly fingerprint: string;
  readonly blockTokens: number;
  readonly auditor: Auditor;
  readonly roster: Roster;
  readonly peers: PeerClient;
  readonly clock: Clock;
}

export class EvidenceSearch {
  constructor(private readonly options: EvidenceSearchOptions) {}

  /**
   * Whether the maker itself gave this worker a wrong block under this key, now or before (`held`). False if nothing is found, or if the maker may
   * have been misled: if it has a wrong block of another maker right before this one.
   */
  async sees(accusation: Accusation, held: Copy | null): Promise<boolean> {
    const { maker, tokens, salt, adapter: lora, key } = accusation;
    const { fingerprint, blockTokens, auditor } = this.options;
    const adapter = adapterOf('short', lora?.fingerprint);
    const blocks = blockKeys(tokens, rootSeed({ fingerprint, adapter, salt }), blockTokens);
    const last = blocks.at(-1);
    // The key must follow from the tokens.
    if (last?.key !== key) return false;
    const copies = [...(held ? [held] : []), ...(await this.askFor(last, maker))];
    const own = copies.filter(({ block }) => sameMaker(block.maker, maker));
    if (own.length === 0) return false;
    const before = blocks.at(-2);
    if (before) copies.push(...(await this.askFor(before, maker)));
    const judgements = await auditor.judge({ tokens, salt, adapter: lora }, exhibitsOf(copies));
    return judgements !== null && convicts(judgements, key, maker);
  }

  /** The maker's own copy of this block; none if the maker cannot be asked or has no such block. */
  private async askFor({ key }: BlockMeta, maker: Maker): Promise<Copy[]> {
    const { roster, peers, clock } = this.options;
    const target = roster.alive(maker.id);
    if (target === null || !sameMaker(target, maker)) return [];
    const copies: Copy[] = [];
    const late = new AbortController();
    const timer = clock.after(ASK_MS, () => late.abort(new DeadlineExceeded(`${maker.id} gave no block in time`)));
    try {
      await peers.fetch(target, [key], new Copying(copies), late.signal);
    } catch {
      // The peer client counts the failure.
    } finally {
      timer.cancel();
    }
    return copies;
  }
}

/** Keeps the blocks that a peer sends in separate memory. */
class Copying implements FetchSink {
  constructor(private readonly copies: Copy[]) {}

  reserve(block: SealedBlock, byteLength: number) {
    const memory = new Uint8Array(byteLength);
    return { memory, commit: () => void this.copies.push({ block, bytes: memory }), abort: () => {} };
  }
}

function exhibitsOf(copies: readonly Copy[]) {
  const of = (key: BlockKey) => copies.filter(({ block }) => block.key === key);
  return {
    has: ({ key }: BlockMeta) => of(key).length > 0,
    of: async ({ key }: BlockMeta) => of(key).map((copy) => ({ ...copy, unpin: () => {} })),
  };
}

function convicts(judgements: readonly Judgement[], key: BlockKey, maker: Maker): boolean {
  const wrong = judgements.filter(({ right }) => !right);
  const misled = wrong.some(({ block }) => block.key !== key && !sameMaker(block.maker, maker));
  return !misled && wrong.some(({ block }) => block.key === key && sameMaker(block.maker, maker));
}
