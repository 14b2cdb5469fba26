import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memorySource } from '../../src/model/onnx/byte-source.js';
import { type GraphNode, readGraph } from '../../src/model/onnx/graph.js';
import { GRAPH, nodeMessage, tensorMessage } from '../../src/model/onnx/messages.js';
import { spliced, withInput } from '../../src/model/onnx/splice.js';
import { bytesField, join as joined } from '../../src/model/onnx/wire.js';

/** Makes models that crash their process when a prompt contains a certain token. */

/** A token that the tokenizer of `models/recall` makes of this character, and of nothing else. */
export const CRASH_TOKEN = 5;
export const CRASH_CHARACTER = '\u0005';

/**
 * Copies a model folder, and edits its graph so that it divides -2^63 by -1 for this token, and by 1 for any other. The quotient does not fit
 * its 64 bits, for which an x86 processor ends the process (SIGFPE). Answers to all other prompts stay the same.
 * @param from a model folder whose graph looks its tokens up by one Gather
 * @param to created if missing
 */
export async function brittleModel(from: string, to: string, crashToken: number): Promise<void> {
  await cp(from, to, { recursive: true });
  const file = join(to, 'onnx', 'model.onnx');
  await writeFile(file, withCrash(await readFile(file), crashToken));
}

function withCrash(model: Uint8Array, crashToken: number): Uint8Array {
  const graph = readGraph(memorySource(model));
  const lookUp = graph.nodes.find(isLookUp);
  if (!lookUp) throw new Error('cannot make the model brittle: no Gather reads its input_ids');
  const constant = (name: string, value: bigint) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(value)));
  const nodes = [
    { op: 'Equal', inputs: ['input_ids', 'brittle.token'], outputs: ['brittle.is'] },
    { op: 'Where', inputs: ['brittle.is', 'brittle.minus', 'brittle.one'], outputs: ['brittle.divisor'] },
    { op: 'Div', inputs: ['brittle.least', 'brittle.divisor'], outputs: ['brittle.quotient'] },
    // An optimizer keeps only nodes that the outputs depend on.
    { op: 'Mul', inputs: ['brittle.quotient', 'brittle.zero'], outputs: ['brittle.nothing'] },
    { op: 'Add', inputs: ['input_ids', 'brittle.nothing'], outputs: ['brittle.ids'] },
  ];
  const edited = [
    ...nodes.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
    bytesField(GRAPH.node, withInput(model, lookUp, 1, 'brittle.ids')),
  ];
  const constants = [
    constant('brittle.token', BigInt(crashToken)),
    constant('brittle.least', -(2n ** 63n)),
    constant('brittle.minus', -1n),
    constant('brittle.zero', 0n),
    constant('brittle.one', 1n),
  ];
  const { end } = graph.place;
  return spliced(model, graph, [
    { ...lookUp.place, bytes: joined(edited) },
    { start: end, end, bytes: joined(constants) },
  ]);
}

function isLookUp({ opType, inputs }: GraphNode): boolean {
  return opType === 'Gather' && inputs[1] === 'input_ids';
}
