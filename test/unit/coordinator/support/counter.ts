/** 1, 2, 3, … at each call. */
export function counter(): () => number {
  let count = 0;
  return () => ++count;
}
