import { expect, it } from 'vitest';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import { shortenedKv } from '../../../../src/model/onnx/kept-past.js';
import {
  GRAPH,
  MODEL,
  type Node,
  nodeMessage,
  tensorMessage,
  valueMessage,
} from '../../../../src/model/onnx/messages.js';
import { bytesField } from '../../../../src/model/onnx/wire.js';

const OUTPUT = 'present.0.key';
const LISTS = { zero: 0, minus: -100, far: 2 ** 40, tokens: 2, size: 3 };

const n = (op: string, inputs: string[], output: string): Node => ({ op, inputs, outputs: [output] });
const shortened = (nodes: readonly Node[], output = OUTPUT) =>
  shortenedKv(
    readGraph(
      memorySource(
        bytesField(MODEL.graph, [
          ...nodes.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
          ...Object.entries(LISTS).map(([name, value]) =>
            bytesField(
              GRAPH.initializer,
              tensorMessage({ name, type: 'int64', dims: [1] }, BigInt64Array.of(BigInt(value))),
            ),
          ),
          bytesField(GRAPH.input, valueMessage('past_key_values.0.key', 1, [])),
          bytesField(GRAPH.output, valueMessage(output, 1, [])),
        ]),
      ),
    ),
  );

it('finds a window of the joined K/V, and one of the past', () => {
  const joined = n('Concat', ['past_key_values.0.key', 'new'], 'all');
  expect(shortened([joined, n('Slice', ['all', 'minus', 'far', 'tokens'], OUTPUT)])).toBe(OUTPUT);
  const long = 'present_key_values.0.key';
  expect(shortened([joined, n('Slice', ['all', 'minus', 'far', 'tokens'], long)], long)).toBe(long);
  const kept = n('Slice', ['past_key_values.0.key', 'minus', 'far', 'tokens'], 'kept');
  expect(shortened([kept, n('Concat', ['kept', 'new'], OUTPUT)])).toBe(OUTPUT);
});

it('lets pass K/V of all tokens, halves of new keys, and what only reads a window', () => {
  const joined = n('Concat', ['past_key_values.0.key', 'turned'], OUTPUT);
  const half = n('Slice', ['new', 'minus', 'far', 'size'], 'half');
  expect(shortened([half, n('Concat', ['half', 'half'], 'turned'), joined])).toBeNull();
  expect(shortened([joined, n('Slice', [OUTPUT, 'minus', 'far', 'tokens'], 'window')])).toBeNull();
  const whole = n('Concat', ['past_key_values.0.key', 'new'], 'all');
  expect(shortened([whole, n('Slice', ['all', 'zero', 'far', 'tokens'], OUTPUT)])).toBeNull();
});
