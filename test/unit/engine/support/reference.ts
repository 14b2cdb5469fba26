import { argmax } from '../../../../src/core/sampling/selection.js';
import type { ModelGraph } from '../../../../src/engine/model-graph.js';
import type { ElementType } from '../../../../src/ort/element-type.js';
import { Value } from '../../../../src/ort/value.js';

/** Reference for the engine: greedy decoding that computes each token from all tokens before it, without any K/V. */
export async function slowGreedy(graph: ModelGraph, prompt: readonly number[], count: number): Promise<number[]> {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(await nextToken(graph, tokens));
  return tokens.slice(prompt.length);
}

async function nextToken({ runtime, session, names, layout, vocab }: ModelGraph, tokens: number[]): Promise<number> {
  const binding = session.createBinding();
  const input = (name: string, elementType: ElementType, shape: number[], numbers: number[] = []) => {
    const value = Value.allocate(runtime, elementType, shape);
    if (numbers.length > 0) value.bytes().set(new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer));
    binding.bindInput(name, value);
    value.release();
  };
  const shape = [1, tokens.length];
  input(names.inputIds, 'int64', shape, tokens);
  if (names.attentionMask) input(names.attentionMask, 'int64', shape, Array(tokens.length).fill(1));
  if (names.positionIds) input(names.positionIds, 'int64', shape, [...tokens.keys()]);
  if (names.logitsToKeep) input(names.logitsToKeep, 'int64', [], [1]);
  for (const name of names.past) input(name, layout.elementType, [1, layout.kvHeads, 0, layout.headDim]);
  for (const name of [names.logits, ...names.present]) binding.bindOutputToDevice(name, 'cpu');
  await session.run(binding);
  const made = binding.outputs();
  const bytes = made
    .get(names.logits)!
    .bytes()
    .slice(-4 * vocab);
  const token = argmax(new Float32Array(bytes.buffer));
  for (const value of made.values()) value.release();
  binding.release();
  return token;
}
