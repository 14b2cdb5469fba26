import { useCallback, useState } from 'preact/hooks';
import { ChaosPanel } from '../chaos/chaos-panel.js';
import type { FeedConnection } from '../feed/connection.js';
import { type FleetModel, workersAt } from '../feed/fleet-model.js';
import { useStore } from '../feed/store.js';
import { HappenedList } from '../parts/happened-list.js';
import { SourceLegend } from '../parts/source-bar.js';
import { agoText } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { fleetSentence } from './fleet-sentence.js';
import { ReplaySlider, useReplay } from './replay.js';
import { RingFigure } from './ring-figure.js';
import { SampleStrip } from './sample-strip.js';
import { WorkerTable } from './worker-table.js';

/** The fleet at a glance: the ring, its contents, and recent events. */

const REFRESH_MS = 250;
const SHOWN_HAPPENINGS = 12;

export function RingPage({ api, feed }: { readonly api: Api; readonly feed: FeedConnection }) {
  const model = useStore(feed.model, REFRESH_MS);
  const [selected, setSelected] = useState<string | null>(null);
  const replay = useReplay(feed);
  const read = useCallback(() => feed.model.value, [feed]);
  const sentence = fleetSentence(model);
  const workers = [...model.workers.values()];
  const operator = model.hello?.role === 'operator';
  const chaos = model.hello?.chaos === true;
  return (
    <div class="ring-page">
      <section class="figure" aria-labelledby="ring-title">
        <h1 class="visually-hidden" id="ring-title">
          Ring
        </h1>
        <p class={`fleet-sentence ${sentence.tone}`} role="status">
          {sentence.text}
        </p>
        <RingFigure
          workers={replay.agoMs === null ? workers : workersAt(model, replay.time())}
          model={read}
          time={replay.time}
          selected={selected}
          onSelect={setSelected}
        />
        <ReplaySlider replay={replay} />
        <SourceLegend />
        <Limits model={model} />
      </section>
      <div class="column">
        <SampleStrip api={api} model={read} />
        <WorkerTable {...{ workers, api, selected }} onSelect={setSelected} operator={operator} chaos={chaos} />
        {operator && chaos && <ChaosPanel workers={workers} api={api} />}
        <section class="card" aria-labelledby="happened-title">
          <h2 id="happened-title">What happened</h2>
          {model.happened.length === 0 && <p class="hint">Nothing since the coordinator started.</p>}
          <HappenedList
            happened={model.happened.slice(0, SHOWN_HAPPENINGS)}
            timeOf={(at) => agoText(feed.now() - at)}
          />
        </section>
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
