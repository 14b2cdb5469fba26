import { Refused } from '../../errors.js';
import type { AdapterParameter } from './adapter-file.js';
import { fitsInput, type LoraInput, shapeText } from './lora-input.js';

/** Checks that an adapter belongs to a graph. */

/**
 * Every parameter must be an input of the graph in type and shape, and each module's two parameters must have one rank. Modules may be absent: they
 * keep the graph's defaults.
 * @returns the adapter's greatest rank
 * @throws Refused naming the parameter
 */
export function checkAdapter(parameters: readonly AdapterParameter[], inputs: readonly LoraInput[]): number {
  if (parameters.length === 0) throw new Refused('the adapter has no parameters');
  const byName = new Map(inputs.map((input) => [input.name, input]));
  const ranks = new Map<string, Partial<Record<'A' | 'B', number>>>();
  for (const parameter of parameters) {
    const input = byName.get(parameter.name);
    if (input === undefined)
      throw new Refused(
        `the graph has no input "${parameter.name}" for the adapter's parameter; the adapter is for another model or another export of it`,
      );
    checkParameter(parameter, input);
    const rank = parameter.dims[input.side === 'A' ? 1 : 0]!;
    ranks.set(input.module, { ...ranks.get(input.module), [input.side]: rank });
  }
  for (const [module, { A, B }] of ranks) {
    if (A === undefined || B === undefined)
      throw new Refused(`the adapter has lora_${A === undefined ? 'B' : 'A'} of ${module} alone; both are needed`);
    if (A !== B) throw new Refused(`the adapter's parameters of ${module} have the ranks ${A} and ${B}`);
  }
  return Math.max(...[...ranks.values()].map(({ A }) => A!));
}

function checkParameter({ name, elementType, dims }: AdapterParameter, input: LoraInput): void {
  if (elementType !== input.elementType)
    throw new Refused(
      `the parameter "${name}" is ${elementType}, and the graph takes ${input.elementType}; add the adapter again with shoal adapter add`,
    );
  if (!fitsInput(dims, input))
    throw new Refused(
      `the parameter "${name}" has shape ${shapeText(dims)}, and the graph takes ${shapeText(input.dims)}; the adapter is for another model`,
    );
}
