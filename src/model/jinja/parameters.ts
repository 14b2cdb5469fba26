import { type JinjaValue, TemplateError } from './values.js';

/** Arguments of built-in functions, filters and methods, by position or by name. */

export interface ParameterList {
  /** The names of the parameters, in order. */
  readonly parameters: readonly string[];
  /** How many of them must be given. Default: 0. */
  readonly required?: number;
}

/** The arguments in the order of the parameters; undefined for a missing one. @throws TemplateError */
export function bound(
  name: string,
  { parameters, required = 0 }: ParameterList,
  args: readonly JinjaValue[],
  named: ReadonlyMap<string, JinjaValue>,
): (JinjaValue | undefined)[] {
  if (args.length > parameters.length)
    throw new TemplateError(`${name}() takes at most ${parameters.length} arguments (${args.length} given)`);
  const result: (JinjaValue | undefined)[] = parameters.map((_, i) => args[i]);
  for (const [key, value] of named) {
    const index = parameters.indexOf(key);
    if (index < 0) throw new TemplateError(`${name}() got an unexpected keyword argument '${key}'`);
    if (index < args.length) throw new TemplateError(`${name}() got multiple values for argument '${key}'`);
    result[index] = value;
  }
  const missing = parameters.slice(0, required).find((_, i) => result[i] === undefined);
  if (missing !== undefined) throw new TemplateError(`${name}() missing the argument '${missing}'`);
  return result;
}
