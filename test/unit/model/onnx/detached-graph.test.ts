import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeModelFile } from '../../../../bench/synth/model-file.js';
import { synthesize } from '../../../../bench/synth/model-folder.js';
import { buildNetwork } from '../../../../bench/synth/network.js';
import { SYNTH_PRESETS } from '../../../../bench/synth/spec.js';
import { loadModelGraph } from '../../../../src/engine/model-graph.js';
import { type ModelFolder, openModelFolder } from '../../../../src/model/folder.js';
import { graphSignature } from '../../../../src/model/graph-signature.js';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { detachedGraph } from '../../../../src/model/onnx/detached-graph.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import { GRAPH, MODEL, TENSOR } from '../../../../src/model/onnx/messages.js';
import { spliced } from '../../../../src/model/onnx/splice.js';
import { bytesField, fields, intField, join as joined } from '../../../../src/model/onnx/wire.js';
import { weightFiles } from '../../../../src/model/weight-files.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { DecoderRun } from '../decoder-run.js';
import { RECALL, scratchFolder } from '../folders.js';

const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 29) % 500);

async function detach(folder: ModelFolder): Promise<{ model: Uint8Array; dataFolder: string }> {
  const files = await weightFiles(folder);
  const model = await readFile(folder.graphPath);
  return { model: detachedGraph(memorySource(model), folder.graph, files), dataFolder: files.folder };
}

/** The logits of a prompt and of three steps after it, by the file itself and by its detached graph. */
async function bothLogits(dir: string): Promise<[Float32Array[], Float32Array[]]> {
  const folder = await openModelFolder(dir);
  const signature = graphSignature(folder.graph, folder.config, 64);
  const { model, dataFolder } = await detach(folder);
  const runs = [
    await DecoderRun.open(folder.graphPath, signature),
    await DecoderRun.open(model, signature, dataFolder),
  ];
  const logits: [Float32Array[], Float32Array[]] = [[], []];
  for (const [i, run] of runs.entries()) {
    for (const ids of [PROMPT, [7], [8], [9]]) logits[i]!.push((await run.step(ids, 0)).data.slice());
    await run.close();
  }
  return logits;
}

/** A model folder in which the graph's file and its weights are as the test wants them. */
async function synthFolder(): Promise<string> {
  const dir = join(await scratchFolder(), 'model');
  await synthesize({ ...SYNTH_PRESETS.tiny }, dir);
  return dir;
}

/** The model with `data_location: DEFAULT` behind the elements of each initializer, as ONNX's own tools write it. */
function withStatedLocations(model: Uint8Array): Uint8Array {
  const source = memorySource(model);
  const graph = readGraph(source);
  const splices = [...fields(source, graph.place.payload, graph.place.end)]
    .filter(({ number }) => number === GRAPH.initializer)
    .map(({ start, end, payload }) => ({
      ...{ start, end },
      bytes: bytesField(GRAPH.initializer, [model.subarray(payload, end), intField(TENSOR.location, 0)]),
    }));
  return spliced(model, graph, splices);
}

describe('a detached graph', () => {
  it('has none of the large weights, and computes the same logits', async () => {
    const folder = await openModelFolder(RECALL);
    const { model } = await detach(folder);
    const file = await readFile(folder.graphPath);
    expect(model.length).toBeLessThan(file.length / 4);
    const [plain, detached] = await bothLogits(RECALL);
    expect(detached).toEqual(plain);
  });

  it.each([0, 1, 2, 3])(
    'computes the same logits wherever the weights lie in the file: shifted by %i bytes',
    async (shift) => {
      const dir = await synthFolder();
      const path = join(dir, 'onnx', 'model.onnx');
      const model = await readFile(path);
      await writeFile(path, joined([bytesField(MODEL.producer, 'x'.repeat(8 + shift)), model]));
      const [plain, detached] = await bothLogits(dir);
      expect(detached).toEqual(plain);
    },
  );

  it('computes the same logits if each weight says that it is in the file', async () => {
    const dir = await synthFolder();
    const path = join(dir, 'onnx', 'model.onnx');
    await writeFile(path, withStatedLocations(await readFile(path)));
    const [plain, detached] = await bothLogits(dir);
    expect(detached).toEqual(plain);
  });

  it('reads the same graph', async () => {
    const { graph } = await openModelFolder(await synthFolder());
    const { model } = await detach(await openModelFolder(await synthFolder()));
    const again = readGraph(memorySource(model));
    const shapes = (of: typeof graph) =>
      of.initializers.map(({ name, elementCode, dims }) => ({ name, elementCode, dims }));
    expect(shapes(again)).toEqual(shapes(graph));
    expect(again.nodes.map(({ opType, inputs, outputs }) => ({ opType, inputs, outputs }))).toEqual(
      graph.nodes.map(({ opType, inputs, outputs }) => ({ opType, inputs, outputs })),
    );
    expect(again.externalFiles).toEqual(['model.onnx']);
  });
});

describe('files of weights', () => {
  /** Puts the files of a folder's graph into `blobs`, and links in their places, as the cache of the model hub does. */
  async function intoBlobs(dir: string, names: readonly string[], blobs = join(dir, '..', 'blobs')): Promise<void> {
    await mkdir(blobs, { recursive: true });
    for (const [i, name] of names.entries()) {
      await rename(join(dir, 'onnx', name), join(blobs, `b10b${i}`));
      await symlink(join(blobs, `b10b${i}`), join(dir, 'onnx', name));
    }
  }

  async function externalFolder(): Promise<string> {
    const dir = await synthFolder();
    await writeModelFile(buildNetwork({ ...SYNTH_PRESETS.tiny }), join(dir, 'onnx', 'model.onnx'), 0);
    return dir;
  }

  it('are found behind links into a folder of blobs', async () => {
    for (const [dir, names] of [
      [await synthFolder(), ['model.onnx']],
      [await externalFolder(), ['model.onnx', 'model.onnx_data']],
    ] as const) {
      await intoBlobs(dir, names);
      const runtime = OrtRuntime.open();
      const graph = await loadModelGraph(runtime, await openModelFolder(dir), { threads: 1, allowSpinning: false });
      expect(graph.vocab).toBe(SYNTH_PRESETS.tiny.vocab);
      graph.release();
      runtime.release();
      const [plain, detached] = await bothLogits(dir);
      expect(detached).toEqual(plain);
    }
  });

  it('outside of the folder of the graph are refused', async () => {
    const dir = await externalFolder();
    await intoBlobs(dir, ['model.onnx_data']);
    const folder = await openModelFolder(dir);
    await expect(weightFiles(folder)).rejects.toThrow(
      /its weights are in .*b10b0, outside of the folder .*put both into one folder/,
    );
  });
});
