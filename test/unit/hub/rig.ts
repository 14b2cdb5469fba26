import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { afterAll, afterEach, beforeEach } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { type Clock, SystemClock } from '../../../src/clock.js';
import type { MembersModel } from '../../../src/hub/fleet/fleet-models.js';
import { HubApi } from '../../../src/hub/hub-api.js';
import { parseHubId } from '../../../src/hub/hub-id.js';
import { hubSettings } from '../../../src/hub/hub-settings.js';
import { type PulledModel, pull } from '../../../src/hub/pull.js';
import type { PullEvent } from '../../../src/hub/pull-ports.js';
import type { GraphWish } from '../../../src/model/graph-choice.js';
import { HubServer } from '../../support/hub-server.js';
import { scratchFolder } from '../model/folders.js';

/** A hub on loopback, an empty cache, and a small model. */

export const ID = 'shoal/tiny-test';

export interface Pulling {
  readonly wish?: Partial<GraphWish>;
  readonly environment?: Record<string, string>;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PullEvent) => void;
  readonly inFleet?: MembersModel | null;
}

/** All files of a folder, by path. */
export async function filesIn(dir: string): Promise<Record<string, Uint8Array>> {
  const entries = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [relative(dir, path), await readFile(path)])));
}

let made: Promise<Record<string, Uint8Array>> | null = null;
/** A tiny model whose weights are in `model.onnx_data`. */
export function tinyModel(): Promise<Record<string, Uint8Array>> {
  made ??= (async () => {
    const dir = await scratchFolder();
    await synthesize(SYNTH_PRESETS.tiny, dir, { inlineBytes: 0 });
    return filesIn(dir);
  })();
  return made;
}

export interface Rig {
  hub: HubServer;
  cacheDir: string;
  events: PullEvent[];
  pull(id?: string, pulling?: Pulling): Promise<PulledModel>;
}

/** To be called at the top level of a test file. */
export function hubRig(): Rig {
  const rig = { events: [] as PullEvent[] } as Rig;
  rig.pull = (
    id = ID,
    { wish, environment = {}, clock = new SystemClock(), signal, onEvent, inFleet = null }: Pulling = {},
  ) => {
    const settings = hubSettings({
      HF_ENDPOINT: rig.hub.endpoint,
      HF_HUB_CACHE: rig.cacheDir,
      HOME: '/nowhere',
      ...environment,
    });
    const api = new HubApi(settings, clock, () => 0, 'shoal/test');
    const ports = {
      clock,
      signal: signal ?? new AbortController().signal,
      onEvent: (event: PullEvent) => {
        rig.events.push(event);
        onEvent?.(event);
      },
    };
    return pull(parseHubId(id)!, { dtype: 'auto', file: null, device: 'cpu', ...wish }, settings, api, ports, inFleet);
  };
  beforeEach(async () => {
    rig.hub = await HubServer.start();
    rig.cacheDir = await scratchFolder();
    rig.events.length = 0;
  });
  afterEach(() => rig.hub.stop());
  afterAll(() => {
    made = null;
  });
  return rig;
}
