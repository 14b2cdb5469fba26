import { InvalidRequest } from '../../errors.js';
import type { Facts } from './schema-facts.js';
import { checkFormat } from './string-formats.js';

/**
 * Whether a value of `enum` or `const` satisfies what else is demanded of it.
 * @throws InvalidRequest where that cannot be decided
 */
export function accepts(facts: Facts, value: unknown): boolean {
  if (value === null) return facts.types.has('null');
  switch (typeof value) {
    case 'boolean':
      return facts.types.has('boolean');
    case 'number':
      return facts.types.has('number') && acceptsNumber(facts, value);
    case 'string':
      return facts.types.has('string') && acceptsText(facts, value);
    default:
      return acceptsParts(facts, value);
  }
}

function acceptsNumber({ integer, low, high }: Facts, value: number): boolean {
  if (integer && !Number.isInteger(value)) return false;
  if (low !== null && (low.exclusive ? value <= low.value : value < low.value)) return false;
  return high === null || (high.exclusive ? value < high.value : value <= high.value);
}

function acceptsText({ minLength, maxLength, pattern, format }: Facts, value: string): boolean {
  if (format !== null) checkFormat(format, value);
  if (pattern !== null) throw new InvalidRequest('pattern: cannot be honoured beside enum or const; leave it out');
  const length = [...value].length;
  return length >= minLength && length <= maxLength;
}

function acceptsParts({ types, objects, arrays, required, minItems, maxItems }: Facts, value: unknown): boolean {
  if (!types.has(Array.isArray(value) ? 'array' : 'object')) return false;
  if (Array.isArray(value)) {
    if (arrays.length > 0) throw new InvalidRequest('items: cannot be honoured beside enum or const; leave it out');
    return value.length >= minItems && value.length <= maxItems;
  }
  if (objects.length > 0)
    throw new InvalidRequest('properties: cannot be honoured beside enum or const; leave them out');
  return [...required].every((name) => Object.hasOwn(value as object, name));
}
