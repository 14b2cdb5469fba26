import { setImmediate } from 'node:timers/promises';
import type { Device } from '../device/device.js';
import { Corrupt, Refused } from '../errors.js';
import { type AdapterParameter, readAdapter } from '../model/adapter/adapter-file.js';
import { checkAdapter } from '../model/adapter/check-adapter.js';
import { copyTensor } from '../ort/copy.js';
import { tensorBytes } from '../ort/element-type.js';
import { Value } from '../ort/value.js';
import type { OwnedAdapter } from './adapter-shelf.js';
import type { ModelGraph } from './model-graph.js';

/** Brings an adapter's parameters into the memory of the device that runs the graph. */

/**
 * Loads an adapter from the bytes of its file, parameter by parameter, so that the event loop runs in between.
 * @throws Refused if the bytes are no adapter, or one for another graph
 * @throws OrtError if the device has not enough memory
 */
export async function loadAdapter(
  graph: ModelGraph,
  device: Device,
  { bytes, fingerprint }: { readonly bytes: Uint8Array; readonly fingerprint: string },
): Promise<OwnedAdapter> {
  const parameters = parametersOf(bytes);
  checkAdapter(parameters, graph.loraInputs);
  const inputs = new Map<string, Value>();
  const release = () => {
    for (const value of inputs.values()) value.release();
  };
  try {
    for (const parameter of parameters) {
      if (parameter.data.length > 0) inputs.set(parameter.name, await onDevice(parameter, graph, device));
      await setImmediate();
    }
  } catch (error) {
    release();
    throw error;
  }
  return { fingerprint, inputs, release };
}

function parametersOf(bytes: Uint8Array): AdapterParameter[] {
  try {
    return readAdapter(bytes);
  } catch (error) {
    if (error instanceof Corrupt) throw new Refused(error.message, { cause: error });
    throw error;
  }
}

async function onDevice({ elementType, dims, data }: AdapterParameter, graph: ModelGraph, device: Device) {
  const { runtime, session } = graph;
  const onHost = Value.allocate(runtime, elementType, dims);
  onHost.bytes().set(data);
  const { loosePlace } = device;
  if (loosePlace === 'cpu') return onHost;
  const memory = loosePlace.allocate(tensorBytes(elementType, dims));
  try {
    const value = Value.view(memory, 0, elementType, dims);
    await session.exclusive(() => copyTensor(onHost, value));
    return value;
  } finally {
    memory.release();
    onHost.release();
  }
}
