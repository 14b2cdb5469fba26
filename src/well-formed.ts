/**
 * Whether a text is well-formed UTF-16. Half of a surrogate pair has no UTF-8: all halves become the same bytes, so names that contain one
 * cannot be told apart once they are hashed.
 */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
