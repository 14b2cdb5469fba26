import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { InvalidRequest } from '../../../src/errors.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { memorySource } from '../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../src/model/onnx/graph.js';
import { LOGITS_TO_KEEP, withLogitsToKeep } from '../../../src/model/onnx/logits-to-keep.js';
import { GRAPH, tensorMessage, valueMessage } from '../../../src/model/onnx/messages.js';
import { spliced } from '../../../src/model/onnx/splice.js';
import { bytesField } from '../../../src/model/onnx/wire.js';
import { scratchFolder } from '../model/folders.js';
import { ask, noise, Rig } from './support/rig.js';

/** Graphs whose head was pruned compute the logits of a run's last position alone. */

/** A graph that keeps the logits of one position, as a builder with a pruned head writes it. */
function pruned(model: Uint8Array): Uint8Array {
  const edit = withLogitsToKeep(model);
  if (edit.kind !== 'edited') throw new Error('cannot prune the head: it is not found');
  const graph = readGraph(memorySource(edit.model));
  const logits = graph.outputs.find(({ name }) => name === 'logits')!;
  const one = tensorMessage({ name: LOGITS_TO_KEEP, type: 'int64', dims: [] }, BigInt64Array.of(1n));
  const dims = [logits.dims[0]!, 1, logits.dims[2]!];
  return spliced(edit.model, graph, [
    { ...logits.place, bytes: bytesField(GRAPH.output, valueMessage('logits', logits.elementCode, dims)) },
    { start: graph.place.end, end: graph.place.end, bytes: bytesField(GRAPH.initializer, one) },
  ]);
}

it.each(
  TWINS.filter(
    ({ architecture, dtype, weights }) => architecture === 'Llama' && dtype === 'float32' && weights !== 'q8',
  ),
)(
  'answers as with the whole head, and refuses log-probabilities of the prompt by name: $exporter, $weights',
  async (twin) => {
    const scratch = await scratchFolder();
    const [whole, cut] = [join(scratch, 'whole'), join(scratch, 'pruned')];
    await writeTwin(twin, whole);
    await cp(whole, cut, { recursive: true });
    const path = (await openModelFolder(cut)).graphPath;
    await writeFile(path, pruned(await readFile(path)));
    const rigs = [await Rig.open(await openModelFolder(whole)), await Rig.open(await openModelFolder(cut))];
    const prompt = noise(150, twin.vocab);
    const answers = [];
    for (const rig of rigs) answers.push((await rig.run(ask(prompt))).ids);
    expect(answers[1]).toEqual(answers[0]);
    const refused = rigs[1]!.run(ask(prompt, { sampling: { promptLogprobs: true, logprobs: 1 } }));
    await expect(refused).rejects.toThrow(/^logprobs: .*pruned head/);
    await expect(refused).rejects.toBeInstanceOf(InvalidRequest);
    for (const rig of rigs) expect(await rig.close()).toEqual([]);
  },
);
