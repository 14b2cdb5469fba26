/** How many characters at the end of a text may yet turn out to be the beginning of one of `marks`, with the blanks before it. */
export function heldEnd(text: string, marks: readonly string[]): number {
  const held = begunMark(text, marks);
  const before = held === 0 ? text : text.slice(0, -held);
  return held + before.length - before.trimEnd().length;
}

/** The same, without blanks. */
export function begunMark(text: string, marks: readonly string[]): number {
  let held = 0;
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, text.length); length > held; length--) {
      if (text.endsWith(mark.slice(0, length))) held = length;
    }
  }
  return held;
}
