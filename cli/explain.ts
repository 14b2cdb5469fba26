import { readValues } from '../src/config/config.js';
import type { CommandContext } from './context.js';
import { CoordinatorClient, type ExplainAnswer } from './coordinator-client.js';
import { table } from './table.js';

/** `shoal explain`: shows where the blocks of a prompt are. */
export async function explain(context: CommandContext): Promise<number> {
  const { url, apiKey, json } = readValues('explain', context);
  const answer = await new CoordinatorClient(url, apiKey).explain(context.args[0] ?? '');
  context.io.out(json ? `${JSON.stringify(answer)}\n` : `${describeBlocks(answer.blocks)}\n`);
  return 0;
}

/** The blocks of a prompt as a table. */
export function describeBlocks(blocks: ExplainAnswer['blocks']): string {
  if (blocks.length === 0) return 'the prompt has no full block: it is shorter than one block';
  const firstMiss = blocks.findIndex((block) => block.state === 'miss');
  const hits = firstMiss === -1 ? blocks.length : firstMiss;
  const rows = blocks.map((block) => [
    block.index,
    block.key.slice(0, 12),
    block.state,
    block.holders.map((id) => (block.tiers[id] ? `${id} (${block.tiers[id]})` : id)).join(', ') || '-',
    block.homes.join(', ') || '-',
    block.reason ?? '',
  ]);
  const grid = table(['block', 'key', 'state', 'held by', 'homes', 'reason'], rows);
  return `${hits} of ${blocks.length} blocks can be reused\n\n${grid}`;
}
