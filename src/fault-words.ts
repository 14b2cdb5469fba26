/** The library's own text for a value of another type, which names no remedy. */
const OTHER_TYPE = /^Invalid input: expected (.+), received (\w+)$/;

/** What an issue of a Zod schema says, in the style of shoal's messages: what is wrong, and what is allowed. */
export function faultWords({ message }: { readonly message: string }): string {
  const [, expected, received] = OTHER_TYPE.exec(message) ?? [];
  if (expected === undefined) return message;
  const allowed = `must be ${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`;
  return received === 'undefined' ? `is missing; it ${allowed}` : allowed;
}
