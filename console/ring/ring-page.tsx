import { useCallback, useMemo, useState } from 'preact/hooks';
import { ChaosPanel } from '../chaos/chaos-panel.js';
import type { FeedConnection } from '../feed/connection.js';
import { type FleetModel, workersAt } from '../feed/fleet-model.js';
import { useStore } from '../feed/store.js';
import { HappenedList } from '../parts/happened-list.js';
import { agoText } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { fleetSentence } from './fleet-sentence.js';
import { HotSegments } from './hot-segments.js';
import { MovingBlocks } from './moving-blocks.js';
import { ReplaySlider, useReplay } from './replay.js';
import { RequestWayCard } from './request-way-card.js';
import { RingFigure } from './ring-figure.js';
import { RingLegend } from './ring-legend.js';
import { SampleStrip } from './sample-strip.js';
import { WorkerTable } from './worker-table.js';

/** The fleet at a glance: the ring, its contents, and recent events. */

const REFRESH_MS = 250;
const SHOWN_HAPPENINGS = 12;

export function RingPage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const model = useStore(feed.model, REFRESH_MS);
  const [selected, setSelected] = useState<string | null>(null);
  /** The worker that was chosen on the ring, not just pointed at. */
  const [followed, setFollowed] = useState<string | null>(null);
  /** The request that was made here last. */
  const [asked, setAsked] = useState<string | null>(null);
  const [segment, setSegment] = useState<string | null>(null);
  const replay = useReplay(feed);
  const read = useCallback(() => feed.model.value, [feed]);
  const lost = useStore(feed.status).state === 'lost';
  const sentence = fleetSentence(model, lost);
  const workers = [...model.workers.values()];
  const operator = model.hello?.role === 'operator';
  const chaos = model.hello?.chaos === true;
  // These change seldom: to render them with every state of the fleet would cost frames.
  const hot = useMemo(
    () => <HotSegments segments={model.segments} chosen={segment} onChoose={setSegment} />,
    [model.segments, segment],
  );
  const second = Math.floor(feed.now() / 1_000);
  const moving = useMemo(() => <MovingBlocks flows={model.flows} now={1_000 * second} />, [model.flows, second]);
  return (
    <div class="ring-page">
      <section class="figure" aria-labelledby="ring-title">
        <h1 class="visually-hidden" id="ring-title">
          Ring
        </h1>
        <p class={`fleet-sentence ${sentence.tone}`} role="status">
          {sentence.text}
        </p>
        <WayToTry />
        <RingFigure
          workers={replay.agoMs === null ? workers : workersAt(model, replay.time())}
          segments={model.segments}
          chosen={segment}
          model={read}
          time={replay.time}
          selected={selected}
          onSelect={(worker) => {
            setSelected(worker);
            setFollowed(worker);
          }}
        />
        <ReplaySlider replay={replay} lost={lost} />
        <RingLegend segments={operator} />
        <Limits model={model} />
        <RequestWayCard model={model} worker={followed} asked={asked} now={feed.now()} />
      </section>
      <div class="column">
        <SampleStrip api={api} model={read} onAsked={setAsked} />
        <WorkerTable {...{ workers, api, selected }} onSelect={setSelected} operator={operator} chaos={chaos} />
        {operator && chaos && <ChaosPanel workers={workers} api={api} happened={model.happened} now={feed.now()} />}
        {operator && hot}
        {operator && moving}
        <LatestEvents model={model} now={feed.now()} />
      </div>
    </div>
  );
}

/** The things that the ring does not show. */
function Limits({ model: { skipped, coordinators } }: { readonly model: FleetModel }) {
  return (
    <>
      {skipped > 0 && (
        <p class="hint">
          {skipped.toLocaleString('en')} requests are not drawn: there were too many at once. They count everywhere
          else.
        </p>
      )}
      {coordinators > 1 && <p class="hint">Requests of this coordinator only; the fleet has {coordinators}.</p>}
    </>
  );
}

function LatestEvents({ model, now }: { readonly model: FleetModel; readonly now: number }) {
  return (
    <section class="card" aria-labelledby="happened-title">
      <h2 id="happened-title">What happened</h2>
      {model.happened.length === 0 && <p class="hint">Nothing since the coordinator started.</p>}
      <HappenedList happened={model.happened.slice(0, SHOWN_HAPPENINGS)} timeOf={(at) => agoText(now - at)} />
    </section>
  );
}

/** Leads to the card on narrow pages, where it stands below the ring. */
function WayToTry() {
  return (
    <p class="to-try">
      <button
        type="button"
        class="primary"
        onClick={() => document.querySelector('#try-title')?.scrollIntoView({ block: 'start' })}
      >
        Try it
      </button>
    </p>
  );
}
