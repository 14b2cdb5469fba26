import type { CachePin, CachePurge } from '../../src/console/cache-answers.js';
import type { Deed } from '../parts/deed.js';
import { counted } from '../parts/words.js';
import type { Api } from '../session/api.js';

/** The commands to keep or drop blocks, each with its question and what the page says of it. */

/** The selection of a purge, and its name in a question. */
export interface PurgeChoice {
  readonly what: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What the page says of the latest deed. One deed may make untrue what another has said, so there is never more. */
export interface CacheNews {
  readonly note: string | null;
  readonly receipt: CachePurge | null;
}

export const NO_NEWS: CacheNews = { note: null, receipt: null };

interface CacheDeedsOptions {
  readonly api: Pick<Api, 'post' | 'delete'>;
  readonly show: (news: CacheNews) => void;
  /** Reads the pins again. */
  readonly reload: () => Promise<void>;
}

export interface CacheDeeds {
  /** @param prompt the fields of a request that name it */
  pin(prompt: Readonly<Record<string, unknown>>, hours: number): Deed;
  release(pin: CachePin): Deed;
  purge(choice: PurgeChoice): Deed;
  forgetAll(): Deed;
}

export function cacheDeeds({ api, show, reload }: CacheDeedsOptions): CacheDeeds {
  const deed = (words: Omit<Deed, 'act'>, act: () => Promise<Partial<CacheNews>>): Deed => ({
    ...words,
    act: async () => {
      show(NO_NEWS);
      try {
        show({ ...NO_NEWS, ...(await act()) });
      } finally {
        await reload();
      }
    },
  });
  return {
    pin: (prompt, hours) => {
      const question = `Keep the full blocks of this prompt in the fleet for ${counted(hours, 'hour')}? No worker evicts them in that time.`;
      return deed({ label: 'Pin', question, doing: 'Pinning' }, async () => {
        const made = await api.post<CachePin>('/v1/cache/pin', { ...prompt, ttl_seconds: 3_600 * hours });
        return { note: `Pinned ${counted(made.blocks, 'block')}.` };
      });
    },
    release: (pin) => {
      const question = `Release ${pinText(pin)}? Its blocks may then be evicted like any others.`;
      return deed({ label: 'Unpin', question, doing: 'Releasing the pin' }, async () => {
        await api.delete(`/v1/cache/pin/${encodeURIComponent(pin.id)}`);
        return { note: 'The pin is released.' };
      });
    },
    purge: ({ what, body }) => {
      const question = `Drop ${what} on all workers, and end the pins of it? This cannot be undone; repeated prompts are recomputed.`;
      const doing = 'Purging. Where pins end, it takes two seconds longer';
      return deed({ label: 'Purge', question, doing }, async () => ({
        receipt: await api.post<CachePurge>('/v1/cache/purge', body),
      }));
    },
    forgetAll: () => {
      const question =
        'Forget all blocks of all tenants, on all workers? Every prompt is then computed anew; pinned prompts at once.';
      return deed({ label: 'Forget all blocks', question, doing: 'Forgetting all blocks' }, async () => {
        await api.post('/reset_prefix_cache', {});
        return { note: 'All blocks are forgotten.' };
      });
    },
  };
}

/** The pin's description, for a question. */
function pinText({ tokens, blocks }: CachePin): string {
  return `the pin of ${counted(tokens, 'token')} in ${counted(blocks, 'block')}`;
}
