import { join } from 'node:path';
import type { Clock } from '../../src/clock.js';
import { packageRoot } from '../../src/config/package-root.js';
import type { ActorsAnswer, SlowAnswer, TenantsAnswer } from '../../src/console/table-answers.js';
import type { Fleet } from '../fleet.js';
import { CoarseView } from './coarse-view.js';
import { type ConsoleFiles, readConsoleFiles } from './console-files.js';
import type { DisturbanceNews } from './disturbance-news.js';
import { FleetFeed, type FleetFeedOptions } from './fleet-feed.js';
import { History } from './history.js';
import type { RequestJournal } from './request-journal.js';
import type { RuntimeSurvey } from './runtime-survey.js';
import type { SegmentHeat } from './segment-heat.js';
import type { SlowRequests } from './slow-requests.js';
import { TenantCounts } from './tenant-counts.js';
import { watchedFleet } from './watched-fleet.js';
import type { WorkerActivities } from './worker-activities.js';

/** Makes and connects the parts of a coordinator that the console needs. */

export interface ConsoleOptions extends ConsoleSources, Pick<FleetFeedOptions, 'about'> {
  readonly fleet: Fleet;
  readonly clock: Clock;
}

/** The parts of a coordinator that know it, for its console. */
export interface ConsoleSources {
  readonly journal: RequestJournal;
  readonly countBlocks: FleetFeedOptions['countBlocks'];
  readonly blocksOf: FleetFeedOptions['blocksOf'];
  readonly heat: SegmentHeat;
  readonly activities: WorkerActivities;
  readonly slow: SlowRequests;
  readonly disturbances: Pick<DisturbanceNews, 'tell' | 'listen' | 'behavior'>;
  readonly runtime: Pick<RuntimeSurvey, 'answer'>;
}

export interface Console {
  /** The same fleet, which reports its requests to the console. */
  readonly fleet: Fleet;
  readonly feed: FleetFeed;
  /** What users see of the fleet. */
  readonly coarse: CoarseView;
  readonly history: History;
  readonly files: ConsoleFiles;
  readonly now: () => number;
  readonly slow: (mayRead: (tenant: string | null) => boolean) => SlowAnswer;
  readonly tenants: () => TenantsAnswer;
  readonly actors: () => Promise<ActorsAnswer>;
}

/** Starts the feed. The caller has to stop it. */
export function openConsole({ fleet, clock, about, ...sources }: ConsoleOptions): Console {
  const { journal, countBlocks, blocksOf, heat, activities, slow, runtime, disturbances } = sources;
  const history = new History();
  const tenants = new TenantCounts(clock.now());
  const view = () => fleet.view();
  const coarse = new CoarseView(clock);
  const counts = { countBlocks, blocksOf, heat, activities };
  const feed = new FleetFeed({ clock, view, coarse, ...counts, journal, history, disturbances, about });
  feed.start();
  return {
    fleet: watchedFleet(fleet, { journal, history, tenants, clock }),
    feed,
    coarse,
    history,
    files: readConsoleFiles(join(packageRoot(), 'dist', 'console')),
    now: () => clock.now(),
    slow: (mayRead) => ({ now: clock.now(), requests: slow.list(clock.now(), mayRead) }),
    tenants: () => tenants.answer(clock.now()),
    actors: () => runtime.answer(),
  };
}
