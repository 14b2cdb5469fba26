/**
 * Why the page asks for a key again, in a reader's words; null at first. Pure.
 * @param given whether the reader gave a key
 * @param why what the coordinator said
 */
export function loginProblem(given: boolean, status: number, why: string): string | null {
  if (!given) return null;
  return status === 401 ? 'This key is not known here.' : why;
}
