import { useState } from 'preact/hooks';
import type { CachePin, CachePurge } from '../../src/console/cache-answers.js';
import { type AskedPrompt, promptBody } from '../explain/use-explanation.js';
import type { FeedConnection } from '../feed/connection.js';
import { useStore } from '../feed/store.js';
import { Confirmation, type Deed } from '../parts/confirmation.js';
import { byteText, counted, percent } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { CacheForm, type PurgeChoice } from './cache-form.js';
import { PinTable, pinText } from './pin-table.js';
import { PurgeReceipt } from './purge-receipt.js';
import { usePins } from './use-pins.js';

/** The fleet's memory: its contents, its pins, and commands to keep or drop blocks. */

export function CachePage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const { hello } = useStore(feed.model, 1_000);
  const { pins, problem, reload } = usePins(api);
  const [deed, setDeed] = useState<Deed | null>(null);
  const [receipt, setReceipt] = useState<CachePurge | null>(null);
  const [note, setNote] = useState<string | null>(null);
  const pin = (asked: AskedPrompt, hours: number): Deed => ({
    label: 'Pin',
    question: `Keep the full blocks of this prompt in the fleet for ${counted(hours, 'hour')}? No worker evicts them in that time.`,
    act: async () => {
      const made = await api.post<CachePin>('/v1/cache/pin', { ...bodyOf(asked), ttl_seconds: 3_600 * hours });
      setNote(`Pinned ${counted(made.blocks, 'block')}.`);
      await reload();
    },
  });
  const release = (one: CachePin): Deed => ({
    label: 'Unpin',
    question: `Release ${pinText(one)}? Its blocks may then be evicted like any others.`,
    act: async () => {
      await api.delete(`/v1/cache/pin/${encodeURIComponent(one.id)}`);
      setNote('The pin is released.');
      await reload();
    },
  });
  const purge = (choice: PurgeChoice): Deed => ({
    label: 'Purge',
    question: `Drop ${choice.what} on all workers, and end the pins of it? This cannot be undone; repeated prompts are recomputed.`,
    act: async () => {
      setReceipt(await api.post<CachePurge>('/v1/cache/purge', choice.body));
      await reload();
    },
  });
  const reset: Deed = {
    label: 'Forget all blocks',
    question:
      'Forget all blocks of all tenants, on all workers? Every prompt is then computed anew; pinned prompts at once.',
    act: async () => {
      await api.post('/reset_prefix_cache', {});
      setNote('All blocks are forgotten.');
    },
  };
  return (
    <div class="column">
      <MemorySummary feed={feed} onReset={hello?.role === 'operator' ? () => setDeed(reset) : null} />
      <CacheForm
        onPin={(asked, hours) => setDeed(pin(asked, hours))}
        onPurge={(choice) => setDeed(purge(choice))}
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
        {pins !== null && <PinTable pins={pins} onRelease={release} onAsk={setDeed} />}
      </section>
    </div>
  );
}

function bodyOf(asked: AskedPrompt): Record<string, unknown> {
  return { ...promptBody(asked), ...(asked.salt === '' ? {} : { cache_salt: asked.salt }) };
}

/** @param onReset null for a reader without the right */
function MemorySummary({ feed, onReset }: { readonly feed: FeedConnection; readonly onReset: (() => void) | null }) {
  const { workers, copies, replicas } = useStore(feed.model, 1_000);
  const alive = [...workers.values()].filter(({ state }) => state !== 'dead');
  const sum = (of: (worker: (typeof alive)[number]) => number) => alive.reduce((total, each) => total + of(each), 0);
  const [used, budget, held] = [sum(({ bytes }) => bytes), sum((each) => each.budget), sum(({ blocks }) => blocks)];
  return (
    <section class="card" aria-labelledby="cache-title">
      <h1 id="cache-title">Cache</h1>
      <p>
        {counted(copies.blocks, 'different block')} of 64 tokens in {held.toLocaleString('en')} places; {byteText(used)}{' '}
        of {byteText(budget)} in use ({percent(used, budget)}).{' '}
        {copies.below === 0
          ? `Each block has its ${Math.min(replicas, Math.max(1, alive.length))} copies.`
          : `${counted(copies.below, 'block')} ${copies.below === 1 ? 'lacks' : 'lack'} a copy.`}
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
