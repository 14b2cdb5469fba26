import { memorySource } from '../../src/model/onnx/byte-source.js';
import { GRAPH, MODEL, TENSOR } from '../../src/model/onnx/messages.js';
import { bytesField, fields, intField, join } from '../../src/model/onnx/wire.js';

const LARGE_BYTES = 1024;

/** Moves the large weights of a model out of its bytes, as exporters do, into so many files that take turns. */
export function withExternalWeights(
  model: Uint8Array,
  names: readonly string[],
): { readonly model: Uint8Array; readonly files: ReadonlyMap<string, Uint8Array> } {
  const parts = new Map(names.map((name) => [name, [] as Uint8Array[]]));
  let turn = 0;
  const moved = (raw: Uint8Array) => {
    const name = names[turn++ % names.length]!;
    const before = parts.get(name)!;
    const offset = before.reduce((sum, part) => sum + part.byteLength, 0);
    before.push(raw);
    const entry = (key: string, value: string) =>
      bytesField(TENSOR.external, [bytesField(1, key), bytesField(2, value)]);
    return join([
      ...[entry('location', name), entry('offset', String(offset)), entry('length', String(raw.byteLength))],
      intField(TENSOR.location, 1),
    ]);
  };
  const tensor = (bytes: Uint8Array) =>
    mapped(bytes, (number, payload, whole) =>
      number === TENSOR.raw && payload.byteLength >= LARGE_BYTES ? moved(payload) : whole,
    );
  const graph = (bytes: Uint8Array) =>
    mapped(bytes, (number, payload, whole) =>
      number === GRAPH.initializer ? bytesField(number, tensor(payload)) : whole,
    );
  const changed = mapped(model, (number, payload, whole) =>
    number === MODEL.graph ? bytesField(number, graph(payload)) : whole,
  );
  return { model: changed, files: new Map([...parts].map(([name, pieces]) => [name, join(pieces)])) };
}

function mapped(
  message: Uint8Array,
  change: (number: number, payload: Uint8Array, whole: Uint8Array) => Uint8Array,
): Uint8Array {
  const parts = [...fields(memorySource(message))].map(({ number, start, payload, end }) =>
    change(number, message.subarray(payload, end), message.subarray(start, end)),
  );
  return join(parts);
}
