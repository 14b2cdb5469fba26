import { useState } from 'preact/hooks';
import { type AskedPrompt, promptBody } from '../explain/use-explanation.js';
import type { FeedConnection } from '../feed/connection.js';
import { useStore } from '../feed/use-store.js';
import { Confirmation } from '../parts/confirmation.js';
import type { Deed } from '../parts/deed.js';
import type { Api } from '../session/api.js';
import { type CacheNews, cacheDeeds, NO_NEWS } from './cache-deeds.js';
import { CacheForm } from './cache-form.js';
import { memoryText } from './memory-text.js';
import { PinTable } from './pin-table.js';
import { PurgeReceipt } from './purge-receipt.js';
import { usePins } from './use-pins.js';

/** The fleet's memory: its contents, its pins, and commands to keep or drop blocks. */

export function CachePage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const { hello } = useStore(feed.model, 1_000);
  const { pins, problem, reload } = usePins(api);
  const [deed, setDeed] = useState<Deed | null>(null);
  const [{ note, receipt }, setNews] = useState<CacheNews>(NO_NEWS);
  const deeds = cacheDeeds({ api, show: setNews, reload });
  return (
    <div class="column">
      <MemorySummary feed={feed} onReset={hello?.role === 'operator' ? () => setDeed(deeds.forgetAll()) : null} />
      <CacheForm
        onPin={(asked, hours) => setDeed(deeds.pin(bodyOf(asked), hours))}
        onPurge={(choice) => setDeed(deeds.purge(choice))}
        bodyOf={bodyOf}
      />
      <Confirmation deed={deed} onClose={() => setDeed(null)} />
      {note !== null && <p role="status">{note}</p>}
      {receipt !== null && <PurgeReceipt api={api} ordered={receipt} />}
      <section class="card" aria-labelledby="pins-title">
        <h2 id="pins-title">Pins</h2>
        {problem !== null && (
          <p class="error" role="alert">
            {problem}
          </p>
        )}
        {pins === null && problem === null && <p class="hint">Loading…</p>}
        {pins !== null && <PinTable pins={pins} onRelease={deeds.release} onAsk={setDeed} />}
      </section>
    </div>
  );
}

function bodyOf(asked: AskedPrompt): Record<string, unknown> {
  return { ...promptBody(asked), ...(asked.salt === '' ? {} : { cache_salt: asked.salt }) };
}

/** @param onReset null for a reader without the right */
function MemorySummary({ feed, onReset }: { readonly feed: FeedConnection; readonly onReset: (() => void) | null }) {
  const { hello, workers, copies, replicas, snapshots } = useStore(feed.model, 1_000);
  const alive = [...workers.values()].filter(({ state }) => state !== 'dead');
  return (
    <section class="card" aria-labelledby="cache-title">
      <h1 id="cache-title">Cache</h1>
      <p>
        {snapshots.length === 0 ? 'Loading…' : memoryText(alive, copies, { replicas, rounded: hello?.role === 'user' })}
      </p>
      {onReset !== null && (
        <p class="buttons">
          <button type="button" class="small" onClick={onReset}>
            Forget all blocks
          </button>
        </p>
      )}
    </section>
  );
}
