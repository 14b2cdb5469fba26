import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  externalTensorMessage,
  GRAPH,
  inlineTensorHead,
  MODEL,
  opsetMessage,
  tensorMessage,
} from '../../src/model/onnx/messages.js';
import { bytesField, bytesHeader, intField, join } from '../../src/model/onnx/wire.js';
import { elementBytes } from '../../src/ort/element-type.js';
import type { Network, Weight } from './network.js';

/** Writes a network as an ONNX file, in pieces. */

/** Weights of up to this size are stored in the ONNX file itself; larger ones are stored in a separate file. */
const SYNTH_INLINE_BYTES = 1024 * 2 ** 20;

const IR_VERSION = 8;
const CHUNK_BYTES = 8 * 1024 * 1024;
/** External tensors are aligned to pages, so that a runtime can map them. */
const PAGE_BYTES = 4096;

/**
 * Writes an ONNX file. Weights larger than `inlineBytes` in total go to a separate file `PATH_data`. Weights are generated and written in
 * pieces, so no weight has to fit in memory.
 */
export async function writeModelFile(network: Network, path: string, inlineBytes = SYNTH_INLINE_BYTES): Promise<void> {
  const total = network.weights.reduce((sum, weight) => sum + byteLength(network, weight), 0);
  await (total > inlineBytes ? writeExternal(network, path) : writeInline(network, path));
}

async function writeInline(network: Network, path: string): Promise<void> {
  const heads = network.weights.map((weight) => {
    const bytes = byteLength(network, weight);
    const head = inlineTensorHead({ ...weight, type: typeOf(network, weight) }, bytes);
    return join([bytesHeader(GRAPH.initializer, head.length + bytes), head]);
  });
  const body = graphBody(network);
  let length = body.length;
  network.weights.forEach((weight, i) => {
    length += heads[i]!.length + byteLength(network, weight);
  });
  await writing(path, async (file) => {
    await file.writeFile(join([modelHead(network), bytesHeader(MODEL.graph, length), body]));
    for (const [i, weight] of network.weights.entries()) {
      await file.writeFile(heads[i]!);
      await writeElements(file, network, weight);
    }
  });
}

async function writeExternal(network: Network, path: string): Promise<void> {
  const dataPath = `${path}_data`;
  const messages: Uint8Array[] = [];
  await writing(dataPath, async (file) => {
    let offset = 0;
    for (const weight of network.weights) {
      const bytes = byteLength(network, weight);
      const tensor = { ...weight, type: typeOf(network, weight) };
      // ONNX Runtime takes no external tensor without bytes.
      const message =
        bytes === 0 ? inlineTensorHead(tensor, 0) : externalTensorMessage(tensor, basename(dataPath), offset, bytes);
      messages.push(bytesField(GRAPH.initializer, message));
      await writeElements(file, network, weight);
      const padding = (PAGE_BYTES - (bytes % PAGE_BYTES)) % PAGE_BYTES;
      await file.writeFile(new Uint8Array(padding));
      offset += bytes + padding;
    }
  });
  const graph = bytesField(MODEL.graph, [graphBody(network), ...messages]);
  await writing(path, (file) => file.writeFile(join([modelHead(network), graph])));
}

function modelHead({ opset }: Network): Uint8Array {
  return join([
    intField(MODEL.irVersion, IR_VERSION),
    bytesField(MODEL.producer, 'shoal'),
    bytesField(MODEL.opset, opsetMessage('', opset)),
    bytesField(MODEL.opset, opsetMessage('com.microsoft', 1)),
  ]);
}

/** The graph without its weights. */
function graphBody(network: Network): Uint8Array {
  const constants = network.constants.map(({ name, dims, values }) =>
    bytesField(GRAPH.initializer, tensorMessage({ name, dims, type: 'int64' }, BigInt64Array.from(values))),
  );
  return join([bytesField(GRAPH.name, 'shoal-synth'), ...network.messages, ...constants]);
}

function byteLength(network: Network, weight: Weight): number {
  return weight.dims.reduce((product, dim) => product * dim, elementBytes(typeOf(network, weight)));
}

function typeOf({ spec }: Network, weight: Weight): 'float32' | 'float16' | 'uint8' {
  return weight.type ?? spec.dtype;
}

async function writeElements(file: FileHandle, network: Network, weight: Weight): Promise<void> {
  const type = typeOf(network, weight);
  const elementSize = elementBytes(type);
  const count = byteLength(network, weight) / elementSize;
  const chunk = Math.min(count, CHUNK_BYTES / elementSize);
  const buffer = new { float32: Float32Array, float16: Uint16Array, uint8: Uint8Array }[type](chunk);
  for (let first = 0; first < count; first += chunk) {
    const part = buffer.subarray(0, Math.min(chunk, count - first));
    weight.fill(part, first);
    await file.writeFile(new Uint8Array(part.buffer, 0, part.byteLength));
  }
}

async function writing(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, 'w');
  try {
    await write(file);
  } finally {
    await file.close();
  }
}
