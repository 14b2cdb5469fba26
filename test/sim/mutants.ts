import { Repeats } from '../../coordinator/http/repeats.js';
import type { Exchange, HttpRoute } from '../../coordinator/http/route.js';
import { Trial } from '../../coordinator/poison/trial.js';
import { Lease } from '../../coordinator/retention/lease.js';
import { Router } from '../../coordinator/router.js';
import { StoreState } from '../../src/bus/store-state.js';
import type { BlockKey, PinnedBlock } from '../../src/core/block.js';
import type { Announcement } from '../../src/core/member.js';
import type { MembershipEvent } from '../../src/core/membership-events.js';
import { Roster, type RosterListener } from '../../src/fleet/roster.js';
import { FetchExchange } from '../../src/peer/client/fetch-exchange.js';
import { OfferAnswer } from '../../src/peer/server/offer-answer.js';
import { Ring } from '../../src/ring/ring.js';
import { BlockStore } from '../../workers/cache/block-store.js';
import { DiskTier } from '../../workers/cache/disk-tier.js';
import type { LeaveReason } from '../../workers/cache/tier.js';
import { Spreading } from '../../workers/objects/spreading.js';
import { AntiEntropy } from '../../workers/replication/anti-entropy.js';
import { Creditors } from '../../workers/replication/creditors.js';

/**
 * Faulty versions of the production code, which the checkers have to find. Each is made by replacing methods of a class in this process: the
 * production code has no switch for it.
 */

type Method = (this: never, ...args: never[]) => unknown;

/** Replaces a method, which may be private, by the result of `make`. */
function replace(type: { prototype: object }, name: string, make: (original: Method) => Method): void {
  const prototype = type.prototype as Record<string, Method>;
  const original = prototype[name];
  if (original === undefined) throw new Error(`there is no method ${name} to replace`);
  prototype[name] = make(original);
}

function call(method: Method, self: object, ...args: unknown[]): unknown {
  return (method as (this: object, ...args: unknown[]) => unknown).apply(self, args);
}

/** Tries after which replication gives up, in the mutant that does. */
const TRIES = 4;

export const MUTANTS = {
  /** Bytes are taken for right, whatever their digest. */
  'no digest check': () => {
    replace(
      FetchExchange,
      'arrived',
      (original) =>
        function (this: { receiving: { block: { digest: string } } | null }) {
          return call(original, this, this.receiving?.block.digest ?? null);
        } as Method,
    );
    replace(
      OfferAnswer,
      'filled',
      (original) =>
        function (this: { filling: { index: number } | null; blocks: readonly { digest: string }[] }) {
          return call(original, this, this.blocks[this.filling!.index]!.digest);
        } as Method,
    );
  },

  /** Every announcement counts as that of the latest process of its ID. */
  'no incarnation check': () => {
    let generation = 2 ** 20;
    replace(
      Roster,
      'apply',
      (original) =>
        function (this: object, event: MembershipEvent) {
          if (event.type !== 'announced') return call(original, this, event);
          const announcement: Announcement = { ...event.announcement, generation: ++generation };
          return call(original, this, { ...event, announcement });
        } as Method,
    );
  },

  /** Each block has one home too few. */
  'R off by one': () => {
    replace(
      Ring,
      'homes',
      (original) =>
        function (this: object, key: string, count: number) {
          return call(original, this, key, count > 3 ? count : count - 1);
        } as Method,
    );
  },

  /** A block that a peer reads is not kept from being evicted. */
  'a buffer reused in transfer': () => {
    replace(
      BlockStore,
      'pin',
      (original) =>
        async function (this: object, key: BlockKey) {
          const pinned = (await call(original, this, key)) as PinnedBlock | null;
          pinned?.unpin();
          return pinned;
        } as Method,
    );
  },

  /** A worker that one member refuses ends itself. */
  'stale obeyed from one sender': () => {
    replace(
      Roster,
      'onRefusal',
      () =>
        function (
          this: { options: { self: { id: string; incarnation: string } }; listeners: readonly RosterListener[] },
          { id, incarnation }: { id: string; incarnation: string },
        ) {
          const { self } = this.options;
          if (id !== self.id || incarnation !== self.incarnation) return;
          for (const listener of this.listeners) listener({ type: 'dead', id, incarnation, cause: 'fenced' });
        } as Method,
    );
  },

  /** A home that failed a few times gets no copy any more, and no other pass makes up for it. */
  'replication gives up': () => {
    replace(
      Creditors,
      'failed',
      (original) =>
        function (this: { homes: Map<string, { failures: number; retryAtMs: number }> }, to: string) {
          call(original, this, to);
          const home = this.homes.get(to)!;
          if (home.failures >= TRIES) home.retryAtMs = Number.POSITIVE_INFINITY;
        } as Method,
    );
    replace(AntiEntropy, 'compareWith', () => (async () => {}) as Method);
  },

  /** A request that witnessed a death is charged an attempt, as if the worker lived. */
  'attempts charged to bystanders': () => {
    replace(
      Trial,
      'lost',
      (original) =>
        function (this: object) {
          call(original, this);
          return { fate: 'spared' };
        } as Method,
    );
    replace(
      Router,
      'placed',
      (original) =>
        function (this: object, ...args: unknown[]) {
          return { ...(call(original, this, ...args) as object), connectionWasLost: () => false };
        } as Method,
    );
  },

  /** What a disk gives is taken for right, whatever its digest. */
  'a damaged file believed': () => {
    replace(
      DiskTier,
      'lose',
      (original) =>
        function (this: object, key: BlockKey, reason: LeaveReason) {
          if (reason !== 'damaged') call(original, this, key, reason);
        } as Method,
    );
    replace(
      DiskTier,
      'read',
      (original) =>
        async function (this: { has(key: BlockKey): boolean }, key: BlockKey, into: Uint8Array) {
          const isRight = (await call(original, this, key, into)) as boolean;
          return isRight || this.has(key);
        } as Method,
    );
  },

  /** A request that its client sends again is computed again. */
  'a repetition computed again': () => {
    replace(
      Repeats,
      'answer',
      () =>
        function (this: object, route: HttpRoute, exchange: Exchange) {
          return route.handle(exchange);
        } as Method,
    );
  },

  /** Nobody takes over the lease of a keeper of retained prompts that died. */
  'a lease that never ends': () => {
    replace(
      Lease,
      'renew',
      (original) =>
        function (this: { seen: { revision: number; atMs: number } | null }) {
          if (this.seen !== null) this.seen = { ...this.seen, atMs: Number.POSITIVE_INFINITY };
          return call(original, this);
        } as Method,
    );
  },

  /** A member that the store of NATS refuses keeps it to itself. */
  'a store that refuses unnamed': () => {
    replace(StoreState, 'failed', () => (() => {}) as Method);
  },

  /** Once the store of NATS has refused, it is not asked whether it works again. */
  'a store blamed for ever': () => {
    replace(StoreState, 'answered', () => (() => {}) as Method);
  },
  /** A write of an object is acknowledged before the other homes have it. */
  'an object with one copy': () => {
    replace(Spreading, 'spread', () => (async () => ({ newer: null, failure: null })) as Method);
  },
} satisfies Record<string, () => void>;

export type Mutant = keyof typeof MUTANTS;
