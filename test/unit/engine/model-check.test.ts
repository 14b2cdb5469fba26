import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { blockBytes } from '../../../src/core/kv-layout.js';
import { openDevice } from '../../../src/device/open.js';
import { checkWays } from '../../../src/engine/model-check.js';
import { loadModelGraph, type ModelGraph } from '../../../src/engine/model-graph.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { dynamicallyQuantizedModel } from '../../support/dependent-models.js';
import { RECALL, scratchFolder } from '../model/folders.js';

describe('the check of a model', () => {
  it('finds the ways that disagree in a graph whose dependence is not known', async () => {
    const folder = await scratchFolder();
    await rm(folder, { recursive: true });
    await dynamicallyQuantizedModel(RECALL, folder);
    const runtime = OrtRuntime.open();
    const options = { provider: { name: 'cpu' }, threads: 2, allowSpinning: false } as const;
    const loaded = await loadModelGraph(runtime, await openModelFolder(folder), options);
    const graph: ModelGraph = { ...loaded, dependence: { kind: 'prefix' } };
    const { layout } = graph;
    const budget = { slots: 2, capacityTokens: 128, blockBudgetBytes: 2 * blockBytes(layout) };
    const device = await openDevice(runtime, options.provider, { layout, ...budget });
    try {
      const ways = await checkWays(graph, device);
      expect(ways.find(({ way }) => way.startsWith('a prompt in one run'))).toMatchObject({ agrees: false });
    } finally {
      device.close();
      loaded.release();
      runtime.release();
    }
  });
});
