/** The rows of a table, filtered and sorted. Pure. */

export type CellValue = string | number | null;

/** How the reader has sorted a table. */
export interface SortOrder {
  readonly key: string;
  readonly descending: boolean;
}

interface SortedColumn<Row> {
  readonly key: string;
  readonly value: (row: Row) => CellValue;
}

const COLLATOR = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/**
 * The rows that have each word of the filter in some cell, sorted by one column. Rows without a value in it come last in either direction; rows that
 * are equal in it keep their order.
 */
export function arrange<Row>(
  rows: readonly Row[],
  columns: readonly SortedColumn<Row>[],
  { filter, order }: { readonly filter: string; readonly order: SortOrder | null },
): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const hasAll = (row: Row) => {
    const text = columns.map(({ value }) => String(value(row) ?? '').toLowerCase());
    return words.every((word) => text.some((cell) => cell.includes(word)));
  };
  const kept = words.length === 0 ? [...rows] : rows.filter(hasAll);
  const column = columns.find(({ key }) => key === order?.key);
  if (column === undefined || order === null) return kept;
  return kept.toSorted((a, b) => compareCells(column.value(a), column.value(b), order.descending));
}

/** The order after a click on the heading of a column: numbers begin with the largest, texts with the first. */
export function nextOrder(order: SortOrder | null, key: string, numeric: boolean): SortOrder {
  return order?.key === key ? { key, descending: !order.descending } : { key, descending: numeric };
}

function compareCells(a: CellValue, b: CellValue, descending: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const difference = typeof a === 'number' && typeof b === 'number' ? a - b : COLLATOR.compare(String(a), String(b));
  return descending ? -difference : difference;
}
