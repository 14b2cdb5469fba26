/** Text tables for the terminal. */

type Cell = string | number;

/** Rows under their headings, in columns of minimal width. Columns of numbers are right-aligned. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = headings.map((heading, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    return {
      width: Math.max(heading.length, ...cells.map((cell) => String(cell).length)),
      right: cells.length > 0 && cells.every((cell) => typeof cell === 'number'),
    };
  });
  const line = (cells: readonly Cell[]) =>
    columns
      .map(({ width, right }, index) => {
        const text = String(cells[index] ?? '');
        return right ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [headings, ...rows].map(line).join('\n');
}
