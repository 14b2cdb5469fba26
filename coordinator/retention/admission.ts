import { KEY_BYTES, unpackKeys } from '../../src/core/key.js';
import type { HomesOf } from '../../src/core/replication.js';
import { SEGMENT_BLOCKS } from '../../src/limits.js';
import {
  RETAINED_TOKENS,
  RETAINED_TOKENS_PER_KEY,
  RETENTION_SHARE,
  RETENTIONS,
  RETENTIONS_PER_KEY,
  type Retention,
} from './retention.js';

/** Decides whether a fleet takes one more retention. */

/** Memory of a worker for blocks. */
export interface Capacity {
  readonly worker: string;
  /** On its device. */
  readonly blocks: number;
  readonly blockBytes: number;
}

/** `quota`: the key or the fleet has too many retentions. `memory`: the workers that would keep the blocks have too little memory. */
export type Admitted = { readonly type: 'admitted' } | { readonly type: 'quota' | 'memory'; readonly why: string };

const RELEASE = 'release a pin with DELETE /v1/cache/pin/{id}, or wait until one expires';

/** Checks the quotas. `present` are the retentions that have not expired. */
export function checkQuota(present: readonly Retention[], owner: string | null, tokens: number): Admitted {
  const own = present.filter((retention) => retention.owner === owner);
  const held = (all: readonly Retention[]) => all.reduce((sum, each) => sum + each.tokens, 0);
  const over =
    (own.length >= RETENTIONS_PER_KEY && `this key has ${own.length} pins, and may have ${RETENTIONS_PER_KEY}`) ||
    (held(own) + tokens > RETAINED_TOKENS_PER_KEY &&
      `the prompt has ${tokens} tokens, and this key has pinned ${held(own)} of at most ${RETAINED_TOKENS_PER_KEY}`) ||
    (present.length >= RETENTIONS && `the fleet has ${present.length} pins, and may have ${RETENTIONS}`) ||
    (held(present) + tokens > RETAINED_TOKENS &&
      `the prompt has ${tokens} tokens, and the fleet has pinned ${held(present)} of at most ${RETAINED_TOKENS}`);
  return over ? { type: 'quota', why: `cannot pin the prompt: ${over}; ${RELEASE}` } : { type: 'admitted' };
}

/**
 * Checks that each home of the new retention's segments has memory for it: retained blocks take at most `RETENTION_SHARE` of a worker's device
 * memory. Blocks that two retentions share are counted twice.
 */
export function checkMemory(
  present: readonly Retention[],
  added: Pick<Retention, 'segments' | 'blocks'>,
  homesOf: HomesOf,
  capacities: readonly Capacity[],
): Admitted {
  const before = loads(present, homesOf);
  for (const [worker, blocks] of loads([added], homesOf)) {
    const capacity = capacities.find((each) => each.worker === worker);
    if (capacity === undefined) continue;
    const most = Math.floor(capacity.blocks * RETENTION_SHARE);
    const taken = before.get(worker) ?? 0;
    if (taken + blocks <= most) continue;
    const bytes = (count: number) => `${count} blocks (${count * capacity.blockBytes} bytes)`;
    return {
      type: 'memory',
      why: `cannot pin the prompt: it needs ${bytes(blocks)} on ${worker}, where pins take ${bytes(taken)} of at most ${bytes(most)}; ${RELEASE}, or give the workers more --cache-bytes`,
    };
  }
  return { type: 'admitted' };
}

/** Blocks by home. */
function loads(retentions: readonly Pick<Retention, 'segments' | 'blocks'>[], homesOf: HomesOf): Map<string, number> {
  const blocksOn = new Map<string, number>();
  for (const { segments, blocks } of retentions) {
    const count = segments.byteLength / KEY_BYTES;
    for (const [i, segment] of unpackKeys(segments).entries()) {
      const own = i < count - 1 ? SEGMENT_BLOCKS : blocks - (count - 1) * SEGMENT_BLOCKS;
      for (const home of homesOf(segment)) blocksOn.set(home, (blocksOn.get(home) ?? 0) + own);
    }
  }
  return blocksOn;
}
