import type { Regex } from './regex-syntax.js';

export interface Lengths {
  readonly min: number;
  readonly max: number;
}

/** Bounds on the characters of the texts that a regular expression matches. The lower bound is reached, and so is the upper one. */
export function regexLengths(regex: Regex): Lengths {
  switch (regex.type) {
    case 'chars':
      return { min: 1, max: 1 };
    case 'edge':
      return { min: 0, max: 0 };
    case 'sequence': {
      const lengths = regex.items.map(regexLengths);
      return { min: sum(lengths.map(({ min }) => min)), max: sum(lengths.map(({ max }) => max)) };
    }
    case 'choice': {
      const lengths = regex.options.map(regexLengths);
      return { min: Math.min(...lengths.map(({ min }) => min)), max: Math.max(...lengths.map(({ max }) => max)) };
    }
    case 'repeat': {
      const { min, max } = regexLengths(regex.item);
      return { min: regex.min * min, max: max === 0 ? 0 : regex.max * max };
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
