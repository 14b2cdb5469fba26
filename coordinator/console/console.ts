import { join } from 'node:path';
import type { Clock } from '../../src/clock.js';
import { packageRoot } from '../../src/config/package-root.js';
import type { Fleet } from '../fleet.js';
import { type ConsoleFiles, readConsoleFiles } from './console-files.js';
import { FleetFeed, type FleetFeedOptions } from './fleet-feed.js';
import { History } from './history.js';
import type { RequestJournal } from './request-journal.js';
import { watchedFleet } from './watched-fleet.js';

/** Makes and connects what the console needs of a coordinator. */

export interface ConsoleOptions extends Pick<FleetFeedOptions, 'about' | 'countBlocks' | 'journal'> {
  readonly fleet: Fleet;
  readonly clock: Clock;
}

/** The parts of a coordinator that know it, for its console. */
export interface ConsoleSources {
  readonly journal: RequestJournal;
  readonly countBlocks: FleetFeedOptions['countBlocks'];
}

export interface Console {
  /** The same fleet, which reports its requests to the console. */
  readonly fleet: Fleet;
  readonly feed: FleetFeed;
  readonly history: History;
  readonly files: ConsoleFiles;
  readonly now: () => number;
}

/** Starts the feed. The caller has to stop it. */
export function openConsole({ fleet, clock, journal, countBlocks, about }: ConsoleOptions): Console {
  const history = new History();
  const view = () => fleet.view();
  const feed = new FleetFeed({ clock, view, countBlocks, journal, history, about });
  feed.start();
  return {
    fleet: watchedFleet(fleet, journal, history, clock),
    feed,
    history,
    files: readConsoleFiles(join(packageRoot(), 'dist', 'console')),
    now: () => clock.now(),
  };
}
