/** Why a key is refused, in a reader's words. Pure. */

/** What a header can carry: the letters of Latin-1. */
const UNSENDABLE = /[^\x20-\x7e\xa0-\xff]/u;

/** Why the key cannot even be sent; null if it can. */
export function keyProblem(key: string): string | null {
  const [sign] = UNSENDABLE.exec(key) ?? [];
  if (sign === undefined) return null;
  const shown = /[\p{C}\p{Z}]/u.test(sign) ? 'an invisible character' : `the character “${sign}”`;
  return `The key has ${shown}, which no API key can have. Copy the key again.`;
}

/**
 * Why the page asks for a key again; null at first.
 * @param key the key that the reader gave; null if none
 * @param why what the coordinator said
 */
export function loginProblem(key: string | null, status: number, why: string): string | null {
  if (key === null) return null;
  return keyProblem(key) ?? (status === 401 ? 'This key is not known here.' : why);
}
