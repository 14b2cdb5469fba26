import type { ExplainedBlock } from '../../src/console/cache-answers.js';
import { type Column, DataTable } from '../parts/data-table.js';
import { holdersText, sourceOfBlock } from './block-words.js';
import type { ExplainedPrompt } from './use-explanation.js';

/** The blocks of a prompt: their text, their holders, and the reason for a missing one. */

const SOURCE_NAMES = { local: 'own memory', remote: 'another worker', computed: 'computed' } as const;

interface BlockTableProps {
  /** Tells it from the table of the other prompt. */
  readonly name: string;
  readonly prompt: ExplainedPrompt;
  readonly other?: ExplainedPrompt;
}

export function BlockTable({ name, prompt, other }: BlockTableProps) {
  const { explanation, texts } = prompt;
  const keys = new Set(other?.explanation.blocks.map(({ key }) => key));
  const columns: readonly Column<ExplainedBlock>[] = [
    { key: 'index', title: 'Block', value: ({ index }) => index + 1 },
    {
      key: 'state',
      title: 'Would come from',
      value: (block) => SOURCE_NAMES[sourceOfBlock(block, explanation.would_run_on)],
      cell: (block) => <Source block={block} worker={explanation.would_run_on} />,
    },
    ...(other === undefined
      ? []
      : [{ key: 'shared', title: 'In both', value: ({ key }: ExplainedBlock) => (keys.has(key) ? 'yes' : 'no') }]),
    { key: 'holders', title: 'Held by (tier)', value: (block) => holdersText(block) || null },
    { key: 'homes', title: 'Homes', help: 'Workers whose duty it is to keep a copy', value: homesText },
    {
      key: 'reason',
      title: 'Cause of a miss',
      value: ({ reason }) => reason,
      cell: ({ reason }) => <span class="wrapped">{reason ?? '–'}</span>,
    },
    {
      key: 'text',
      title: 'Text',
      value: ({ index }) => texts[index] ?? null,
      cell: ({ index }) => <span class="block-text">{texts[index] ?? '…'}</span>,
    },
    { key: 'key', title: 'Key', help: 'Names the block and all before it', value: ({ key }) => key.slice(0, 12) },
  ];
  return (
    <DataTable
      name={name}
      rows={explanation.blocks}
      columns={columns}
      rowKey={({ index }) => String(index)}
      empty="The prompt has no full block of 64 tokens: there is nothing to find or to keep."
    />
  );
}

function Source({ block, worker }: { readonly block: ExplainedBlock; readonly worker: string | null }) {
  const source = sourceOfBlock(block, worker);
  return (
    <span class="number">
      <span class={`swatch ${source}`} aria-hidden="true" />
      {SOURCE_NAMES[source]}
    </span>
  );
}

function homesText({ homes }: ExplainedBlock): string | null {
  return homes.length === 0 ? null : homes.join(', ');
}
