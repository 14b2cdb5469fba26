import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { arrange, type CellValue, nextOrder, type SortOrder } from './arrange.js';
import { ScrollRegion } from './scroll-region.js';

/** A table that the reader can sort by each column and filter by words. */

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  readonly help?: string;
  readonly numeric?: boolean;
  /** By which the table sorts and filters. */
  readonly value: (row: Row) => CellValue;
  /** The displayed content; by default the value. */
  readonly cell?: (row: Row) => ComponentChildren;
}

export interface DataTableProps<Row> {
  readonly name: string;
  readonly rows: readonly Row[];
  /** The first one names the row. */
  readonly columns: readonly Column<Row>[];
  readonly rowKey: (row: Row) => string;
  readonly order?: SortOrder;
  /** Words that are in the filter at first. */
  readonly filter?: string;
  /** Stands in the place of the rows if there are none. */
  readonly empty: ComponentChildren;
  /** A last cell, without a heading to sort by. */
  readonly actions?: (row: Row) => ComponentChildren;
}

/** Limit on the rows shown; beyond it, the reader is asked to filter. */
const SHOWN_ROWS = 500;

export function DataTable<Row>(props: DataTableProps<Row>) {
  const { name, rows, columns, rowKey, empty, actions } = props;
  const [order, setOrder] = useState<SortOrder | null>(props.order ?? null);
  const [filter, setFilter] = useState(props.filter ?? '');
  if (rows.length === 0) return <div class="hint empty">{empty}</div>;
  const arranged = arrange(rows, columns, { filter, order });
  const shown = arranged.slice(0, SHOWN_ROWS);
  const [title, ...others] = columns;
  return (
    <>
      <p class="table-tools">
        <input
          type="search"
          aria-label={`Filter ${name}`}
          placeholder="Filter by any words"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <span class="hint number" role="status">
          {countText(shown.length, arranged.length, rows.length)}
        </span>
      </p>
      <ScrollRegion label={`Table: ${name}`} class="stacking">
        <table>
          <thead>
            <tr>
              {/* On narrow pages, where each row is a block of its own, the headings stand in one line to sort by. */}
              {columns.map((column) => (
                <Heading key={column.key} {...{ column, order }} onOrder={setOrder} />
              ))}
              {actions !== undefined && <th scope="col">Actions</th>}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={rowKey(row)}>
                <th scope="row">{cellOf(title!, row)}</th>
                {others.map((column) => (
                  <td key={column.key} class={column.numeric ? 'number' : undefined} data-title={column.title}>
                    {cellOf(column, row)}
                  </td>
                ))}
                {actions !== undefined && (
                  <td>
                    <span class="actions">{actions(row)}</span>
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </>
  );
}

interface HeadingProps<Row> {
  readonly column: Column<Row>;
  readonly order: SortOrder | null;
  readonly onOrder: (order: SortOrder) => void;
}

function Heading<Row>({ column, order, onOrder }: HeadingProps<Row>) {
  const { key, title, help, numeric = false } = column;
  const direction = order?.key !== key ? undefined : order.descending ? 'descending' : 'ascending';
  const arrow = direction === undefined ? '' : direction === 'descending' ? ' ↓' : ' ↑';
  return (
    <th scope="col" class={numeric ? 'number' : undefined} aria-sort={direction}>
      <button type="button" class="sort" title={help} onClick={() => onOrder(nextOrder(order, key, numeric))}>
        {title}
        <span aria-hidden="true">{arrow}</span>
      </button>
    </th>
  );
}

function cellOf<Row>({ value, cell }: Column<Row>, row: Row): ComponentChildren {
  if (cell !== undefined) return cell(row);
  const plain = value(row);
  return typeof plain === 'number' ? plain.toLocaleString('en') : (plain ?? '–');
}

function countText(shown: number, kept: number, all: number): string {
  if (shown < kept) return `the first ${shown} of ${kept.toLocaleString('en')}: filter for others`;
  return kept === all ? `${all.toLocaleString('en')} in all` : `${kept} of ${all.toLocaleString('en')}`;
}
