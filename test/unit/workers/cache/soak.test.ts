import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModelGraph } from '../../../../src/engine/model-graph.js';
import { liveHandles } from '../../../../src/native/handle.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { SeededRandom } from '../../../../src/random.js';
import { type Asked, ask, collect, noise, Rig, tinyModel } from '../../engine/support/rig.js';
import { SoakStation } from '../support/soak-station.js';

/** Minutes of load; a few hundred requests where it is not set. */
const MINUTES = Number(process.env.SHOAL_SOAK_MINUTES ?? 0);
const REQUESTS = 300;
const LANES = 6;
const PREFIXES = 14;
const TAILS = 3;

let model: Awaited<ReturnType<typeof tinyModel>>;
let dir: string;
beforeAll(async () => {
  model = await tinyModel({});
  dir = await mkdtemp(join(tmpdir(), 'shoal-soak-'));
});
afterAll(async () => {
  await model.remove();
  await rm(dir, { recursive: true, force: true });
});

it(
  'random load with room for 20 blocks in each tier: budgets are kept, answers are right, nothing is left behind',
  async () => {
    const vocab = 500;
    const stopping: Asked = { stopping: { maxTokens: 3 } };
    const prompts = Array.from({ length: PREFIXES }, (_, p) => {
      const prefix = noise(64 * (2 + (p % 8)), vocab, p + 1);
      return Array.from({ length: TAILS }, (_, t) => [...prefix, ...noise(5 + 70 * t, vocab, 1_000 + t)]);
    }).flat();
    // What each would be answered without any cache.
    const rig = await Rig.open(model.folder, { budgetBlocks: 1 });
    const expected: number[][] = [];
    for (const prompt of prompts) {
      expected.push((await rig.run(ask(prompt, stopping))).ids);
      rig.cache.clear();
    }
    expect(await rig.close()).toEqual([]);

    const before = { handles: liveHandles(), files: openFiles() };
    const runtime = OrtRuntime.open();
    const graph = await loadModelGraph(runtime, model.folder, { threads: 1, allowSpinning: false });
    const stations = [
      await SoakStation.open({ runtime, graph, kind: 'viewed', dir }),
      await SoakStation.open({ runtime, graph, kind: 'remote', dir }),
    ];
    stations[0]!.peers.push(stations[1]!);
    stations[1]!.peers.push(stations[0]!);

    const random = new SeededRandom(7);
    const draw = () => random.next();
    const untilMs = performance.now() + MINUTES * 60_000;
    const done = { requests: 0, cancelled: 0, pushes: 0, resets: 0, local: 0, remote: 0, computed: 0 };
    const more = () => (MINUTES > 0 ? performance.now() < untilMs : done.requests < REQUESTS);
    const one = async () => {
      done.requests++;
      const [station, other] = draw() < 0.5 ? [stations[0]!, stations[1]!] : [stations[1]!, stations[0]!];
      // Some prompts are asked more often than others.
      const nth = Math.floor(prompts.length * draw() ** 2);
      const what = draw();
      const off = new AbortController();
      const events = station.engine.generate(ask(prompts[nth]!, stopping), off.signal);
      if (what < 0.1) {
        const steps = Math.floor(20 * draw());
        for (let i = 0; i < steps; i++) await new Promise(setImmediate);
        off.abort();
        done.cancelled++;
        await collect(events).catch(() => {});
        return;
      }
      const answer = await collect(events);
      expect(answer.ids).toEqual(expected[nth]);
      for (const source of ['local', 'remote', 'computed'] as const) done[source] += answer.cached[source];
      if (what < 0.3) {
        const keys = station.store.keys();
        const key = keys[Math.floor(keys.length * draw())];
        if (key !== undefined && (await station.push(key, other))) done.pushes++;
      }
      if (what > 0.995) {
        station.store.reset();
        done.resets++;
      }
    };
    const lane = async () => {
      while (more()) await one();
    };
    await Promise.all(Array.from({ length: LANES }, lane));

    const left = (await Promise.all(stations.map((station) => station.close()))).flat();
    graph.release();
    runtime.release();
    const after = { handles: liveHandles(), files: openFiles() };
    const shown = stations.map(({ peakBytes, left: gone, checks }) => ({ peakBytes, left: gone, checks }));
    if (MINUTES > 0) console.log(JSON.stringify({ minutes: MINUTES, ...done, stations: shown, before, after }));
    expect(left).toEqual([]);
    expect(after).toEqual(before);
    for (const { failures, damages, left: gone } of stations) {
      expect([failures, damages]).toEqual([[], 0]);
      // It was tight everywhere, or the test is worth nothing.
      expect(gone['device demoted']).toBeGreaterThan(0);
      expect(gone['host demoted']).toBeGreaterThan(0);
      expect(gone['disk evicted']).toBeGreaterThan(0);
    }
    expect(done.local).toBeGreaterThan(0);
    expect(done.remote).toBeGreaterThan(0);
  },
  (MINUTES + 2) * 60_000,
);

/** Open files of this process. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}
