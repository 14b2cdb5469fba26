/** The part of an issue of a Zod schema that this needs. */
interface Issue {
  readonly code?: string;
  readonly message: string;
  readonly expected?: string;
}

/** The library's own text for a value of another type, which names no remedy. */
const OTHER_TYPE = /^Invalid input: expected (.+), received (\w+)$/;

/** What an issue of a schema says, in the style of shoal's messages: what is wrong, and what is allowed. */
export function faultWords({ message }: Issue): string {
  const [, expected, received] = OTHER_TYPE.exec(message) ?? [];
  if (expected === undefined) return message;
  const allowed = `must be ${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`;
  return received === 'undefined' ? `is missing; it ${allowed}` : allowed;
}
