import { useCallback, useMemo, useState } from 'preact/hooks';
import { ChaosPanel } from '../chaos/chaos-panel.js';
import type { SteadyAsking } from '../chaos/steady-asking.js';
import type { FeedConnection } from '../feed/connection.js';
import { type FleetModel, workersAt } from '../feed/fleet-model.js';
import { useStore } from '../feed/use-store.js';
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

/** How often the ring, what is said of it, and the tables follow the fleet. Each part follows by itself: all at once would cost frames. */
const [RING_MS, WORDS_MS, TABLES_MS] = [250, 500, 700] as const;
const SHOWN_HAPPENINGS = 12;

interface RingPageProps {
  readonly api: Api;
  readonly feed: FeedConnection;
  readonly asking: SteadyAsking;
}

export function RingPage({ api, feed, asking }: RingPageProps) {
  const [selected, setSelected] = useState<string | null>(null);
  /** The worker that was chosen on the ring, not just pointed at. */
  const [followed, setFollowed] = useState<string | null>(null);
  /** The request that was made here last. */
  const [asked, setAsked] = useState<string | null>(null);
  const [segment, setSegment] = useState<string | null>(null);
  const onSelect = (worker: string | null) => {
    setSelected(worker);
    setFollowed(worker);
  };
  return (
    <div class="ring-page">
      <section class="figure" aria-labelledby="ring-title">
        <h1 class="visually-hidden" id="ring-title">
          Ring
        </h1>
        <Sentence feed={feed} />
        <WayToTry />
        <LiveRing {...{ feed, segment, selected, onSelect }} />
        <RequestWayCard feed={feed} worker={followed} asked={asked} />
      </section>
      <div class="column">
        <SampleStrip api={api} feed={feed} onAsked={setAsked} />
        <Workers {...{ api, feed, selected, followed }} onSelect={setSelected} />
        <Chaos {...{ api, feed, asking }} />
        <Tables feed={feed} segment={segment} onSegment={setSegment} />
        <LatestEvents feed={feed} />
      </div>
    </div>
  );
}

interface PartProps {
  readonly feed: FeedConnection;
}

function Sentence({ feed }: PartProps) {
  const model = useStore(feed.model, WORDS_MS);
  const { tone, text } = fleetSentence(model, useStore(feed.status).state === 'lost');
  return (
    <p class={`fleet-sentence ${tone}`} role="status">
      {text}
    </p>
  );
}

interface LiveRingProps extends PartProps {
  readonly segment: string | null;
  readonly selected: string | null;
  readonly onSelect: (worker: string | null) => void;
}

/** The ring with its slider and its legend. */
function LiveRing({ feed, segment, selected, onSelect }: LiveRingProps) {
  const model = useStore(feed.model, RING_MS);
  const replay = useReplay(feed);
  const read = useCallback(() => feed.model.value, [feed]);
  const lost = useStore(feed.status).state === 'lost';
  const now = useMemo(() => [...model.workers.values()], [model.workers]);
  const live = replay.agoMs === null;
  return (
    <>
      <RingFigure
        workers={live ? now : workersAt(model, replay.time())}
        segments={model.segments}
        chosen={segment}
        model={read}
        time={replay.time}
        selected={selected}
        onSelect={onSelect}
      />
      <ReplaySlider replay={replay} lost={lost} />
      <RingLegend segments={model.hello?.role === 'operator'} />
      <Limits model={model} />
    </>
  );
}

interface WorkersProps extends PartProps {
  readonly api: Api;
  readonly selected: string | null;
  readonly followed: string | null;
  readonly onSelect: (worker: string | null) => void;
}

function Workers({ api, feed, selected, followed, onSelect }: WorkersProps) {
  const { workers, hello } = useStore(feed.model, WORDS_MS);
  const [operator, chaos] = [hello?.role === 'operator', hello?.chaos === true];
  return <WorkerTable workers={[...workers.values()]} {...{ api, selected, followed, onSelect, operator, chaos }} />;
}

function Chaos({ api, feed, asking }: RingPageProps) {
  const { workers, happened, hello } = useStore(feed.model, WORDS_MS);
  if (hello?.role !== 'operator' || !hello.chaos) return null;
  return <ChaosPanel workers={[...workers.values()]} {...{ api, asking, happened }} now={feed.now()} />;
}

interface TablesProps extends PartProps {
  readonly segment: string | null;
  readonly onSegment: (segment: string | null) => void;
}

/** What only operators see. The tables are rendered when they change, not with every state of the fleet. */
function Tables({ feed, segment, onSegment }: TablesProps) {
  const { hello, segments, flows } = useStore(feed.model, TABLES_MS);
  const hot = useMemo(
    () => <HotSegments segments={segments} chosen={segment} onChoose={onSegment} />,
    [segments, segment, onSegment],
  );
  const second = Math.floor(feed.now() / 1_000);
  const moving = useMemo(() => <MovingBlocks flows={flows} now={1_000 * second} />, [flows, second]);
  if (hello?.role !== 'operator') return null;
  return (
    <>
      {hot}
      {moving}
    </>
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

function LatestEvents({ feed }: PartProps) {
  const { happened } = useStore(feed.model, TABLES_MS);
  const now = feed.now();
  return (
    <section class="card" aria-labelledby="happened-title">
      <h2 id="happened-title">What happened</h2>
      {happened.length === 0 && <p class="hint">Nothing since the coordinator started.</p>}
      <HappenedList happened={happened.slice(0, SHOWN_HAPPENINGS)} timeOf={(at) => agoText(now - at)} />
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
