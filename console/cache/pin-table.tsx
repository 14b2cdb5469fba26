import type { CachePin } from '../../src/console/cache-answers.js';
import { type Column, DataTable } from '../parts/data-table.js';
import type { Deed } from '../parts/deed.js';

/** The pins of the reader's tenant. */

const STATES: Readonly<Record<CachePin['state'], string>> = {
  pending: 'being copied to its homes',
  held: 'held by all homes',
  short: 'short of a copy',
  failed: 'failed',
};

const COLUMNS: readonly Column<CachePin>[] = [
  { key: 'id', title: 'Pin', value: ({ id }) => id, cell: ({ id }) => id.slice(0, 16) },
  {
    key: 'state',
    title: 'State',
    value: ({ state, reason }) => `${STATES[state]}${reason === null ? '' : `: ${reason}`}`,
  },
  { key: 'tokens', title: 'Tokens', numeric: true, value: ({ tokens }) => tokens },
  { key: 'blocks', title: 'Blocks', numeric: true, value: ({ blocks }) => blocks },
  { key: 'copies', title: 'Copies', help: 'Homes that have all of it', numeric: true, value: ({ copies }) => copies },
  { key: 'share', title: 'Published in', value: ({ share }) => share },
  {
    key: 'until',
    title: 'Until',
    numeric: true,
    value: ({ expires_at: at }) => at,
    cell: (pin) => dateText(pin.expires_at),
  },
];

export interface PinTableProps {
  readonly pins: readonly CachePin[];
  /** Asks the reader to confirm the release of a pin. */
  readonly onRelease: (pin: CachePin) => Deed;
  readonly onAsk: (deed: Deed) => void;
}

export function PinTable({ pins, onRelease, onAsk }: PinTableProps) {
  return (
    <DataTable
      name="pins"
      rows={pins}
      columns={COLUMNS}
      rowKey={({ id }) => id}
      empty="Nothing is pinned. A pin keeps the blocks of a prompt in the fleet, regardless of other requests; put the prompt above to pin it."
      actions={(pin) => (
        <button type="button" class="small" aria-label={`Unpin ${pin.id}`} onClick={() => onAsk(onRelease(pin))}>
          Unpin
        </button>
      )}
    />
  );
}

function dateText(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleString('en-GB', { dateStyle: 'short', timeStyle: 'short' });
}
