import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { writeTwin } from '../../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../../bench/twins/twins.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import { openDevice } from '../../../../src/device/open.js';
import { checkWays } from '../../../../src/engine/model-check.js';
import { loadModelGraph } from '../../../../src/engine/model-graph.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { type GraphNode, readGraph } from '../../../../src/model/onnx/graph.js';
import { ATTRIBUTE, GRAPH, NODE } from '../../../../src/model/onnx/messages.js';
import { withWholePast } from '../../../../src/model/onnx/sliding-cache.js';
import { spliced } from '../../../../src/model/onnx/splice.js';
import { bytesField, intField, join as joined } from '../../../../src/model/onnx/wire.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { scratchFolder } from '../folders.js';

/** A window longer than the sequences of the check below. */
const TWIN = {
  ...TWINS.find(({ architecture, exporter }) => architecture.startsWith('Gemma') && exporter === 'genai builder')!,
  windowTokens: 500,
};
const CAPACITY = 128;

let plain: Uint8Array;
let sliding: Uint8Array;
let dir: string;

/** The graph as onnxruntime-genai's builder writes it since 0.18. */
function marked(model: Uint8Array): Uint8Array {
  const graph = readGraph(memorySource(model));
  const attribute = joined([
    bytesField(ATTRIBUTE.name, 'sliding_window_cache'),
    intField(ATTRIBUTE.int, 1),
    intField(ATTRIBUTE.type, 2),
  ]);
  const mark = ({ place }: GraphNode) => ({
    ...place,
    bytes: bytesField(GRAPH.node, [model.subarray(place.payload, place.end), bytesField(NODE.attribute, attribute)]),
  });
  const windows = graph.nodes.filter(({ integers }) => integers.has('local_window_size'));
  expect(windows).toHaveLength(1);
  return spliced(model, graph, windows.map(mark));
}

beforeAll(async () => {
  const scratch = await scratchFolder();
  await writeTwin(TWIN, join(scratch, 'plain'));
  dir = join(scratch, 'sliding');
  await cp(join(scratch, 'plain'), dir, { recursive: true });
  plain = await readFile(join(scratch, 'plain', 'onnx', 'model.onnx'));
  sliding = marked(plain);
  await writeFile(join(dir, 'onnx', 'model.onnx'), sliding);
});

it('takes the mark of short K/V buffers from the layers with a window, and nothing else', () => {
  expect(Buffer.from(withWholePast(sliding)).equals(plain)).toBe(true);
  expect(withWholePast(plain)).toBe(plain);
});

it('runs such a graph in buffers shorter than its window, and by handing K/V on', async () => {
  const runtime = OrtRuntime.open();
  const options = { provider: { name: 'cpu' }, threads: 1, allowSpinning: false } as const;
  const graph = await loadModelGraph(runtime, await openModelFolder(dir), options);
  const sizes = { blockBudgetBytes: 2 * blockBytes(graph.layout), slots: 2, capacityTokens: CAPACITY };
  const device = await openDevice(runtime, options.provider, { layout: graph.layout, ...sizes });
  try {
    const ways = await checkWays(graph, device);
    expect(ways.map(({ difference }) => difference)).not.toContain(null);
    expect(ways.filter(({ agrees }) => !agrees)).toEqual([]);
  } finally {
    device.close();
    graph.release();
    runtime.release();
  }
});
