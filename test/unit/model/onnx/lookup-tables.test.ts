import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeModelFile } from '../../../../bench/synth/model-file.js';
import { twinGraph } from '../../../../bench/twins/graph.js';
import type { Twin } from '../../../../bench/twins/twin.js';
import { writeTwin } from '../../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../../bench/twins/twins.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import { tableLimits } from '../../../../src/model/onnx/lookup-tables.js';
import { GRAPH, MODEL, nodeMessage, tensorMessage, valueMessage } from '../../../../src/model/onnx/messages.js';
import { bytesField } from '../../../../src/model/onnx/wire.js';
import { scratchFolder } from '../folders.js';

/** Opens a twin whose config.json states a context of 1,024 tokens and a vocabulary of 512, as the graph of another twin has them. */
async function opened(twin: Twin) {
  const dir = join(await scratchFolder(), 'twin');
  await writeTwin(twin, dir);
  await writeModelFile(twinGraph(twin), join(dir, 'onnx', 'model.onnx'));
  return openModelFolder(dir);
}

describe('the tables of a graph', () => {
  it.each(
    ['Llama', 'GPT-2', 'Gemma (window, caps)', 'Falcon (multi-query)'].flatMap((name) =>
      TWINS.filter(({ architecture, dtype }) => architecture === name && dtype === 'float32').map((twin) => ({
        twin,
        title: `${name}, ${twin.exporter}, ${twin.weights}`,
      })),
    ),
  )('of $title bound its context', async ({ twin }) => {
    const { graph, config } = await opened({ ...twin, contextTokens: 96 });
    expect(tableLimits(graph)).toEqual({ tokens: twin.vocab + twin.paddedLogits, positions: 96 });
    expect(config).toMatchObject({ contextTokens: 96, vocabSize: 512 });
  });

  it('begin at a row that a constant names, as the positions of OPT: those before are not positions', () => {
    const graph = readGraph(
      memorySource(
        bytesField(MODEL.graph, [
          ...[
            { op: 'Add', inputs: ['position_ids', 'two'], outputs: ['rows'] },
            { op: 'Gather', inputs: ['table', 'rows'], outputs: ['embedded'] },
          ].map((node) => bytesField(GRAPH.node, nodeMessage(node))),
          bytesField(GRAPH.initializer, tensorMessage({ name: 'two', type: 'int64', dims: [] }, BigInt64Array.of(2n))),
          bytesField(
            GRAPH.initializer,
            tensorMessage({ name: 'table', type: 'float32', dims: [10, 1] }, new Float32Array(10)),
          ),
          bytesField(GRAPH.input, valueMessage('position_ids', 7, [])),
        ]),
      ),
    );
    expect(tableLimits(graph).positions).toBe(8);
  });

  it('bound the vocabulary', async () => {
    const { graph, config } = await opened({ ...TWINS[1]!, vocab: 300 });
    expect(tableLimits(graph).tokens).toBe(300);
    expect(config.vocabSize).toBe(300);
  });

  it('may be constants, between which the graph chooses: the longest one bounds its context', async () => {
    const twin = TWINS.find(({ positions }) => positions.kind === 'longrope')!;
    const { graph, config } = await opened({ ...twin, contextTokens: 160 });
    expect(graph.initializers.filter(({ dims }) => dims[0] === 160)).toEqual([]);
    expect(tableLimits(graph).positions).toBe(160);
    expect(config.contextTokens).toBe(160);
  });

  it('are not searched for ever where choices are nested, or go in a circle', async () => {
    const { graph } = await opened(TWINS.find(({ positions }) => positions.kind === 'longrope')!);
    const [rotary] = graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
    const nested = Array.from({ length: 40 }, (_, i) => choice(`t${i}`, [`t${i + 1}`, `t${i + 1}`]));
    const circle = [choice('t40', ['t0', 't39'])];
    const inputs = rotary!.inputs.map((name, i) => (i === 7 ? 't0' : name));
    const nodes = [...nested, ...circle, { ...rotary!, inputs }];
    expect(tableLimits({ ...graph, nodes }).positions).toBeNull();

    function choice(output: string, tables: string[]) {
      return { ...rotary!, opType: 'Where', domain: '', inputs: ['is', ...tables], outputs: [output] };
    }
  });

  it('that are computed, or of another rank, bound nothing', async () => {
    const alibi = await opened(TWINS.find(({ positions }) => positions.kind === 'alibi')!);
    expect(tableLimits(alibi.graph).positions).toBeNull();
    const initializers = alibi.graph.initializers.map((one) => ({ ...one, dims: [1, ...one.dims] }));
    expect(tableLimits({ ...alibi.graph, initializers })).toEqual({ tokens: null, positions: null });
  });
});
