import type { BlockKey } from '../../src/core/block.js';
import type { Debt } from '../../src/core/debt-lines.js';
import { NO_SPAN, type Span, type Tracer } from '../../src/trace/span.js';

/** Remembers which requests computed the blocks that are copied later, so that the copies are parts of their traces. */

/** Blocks that are remembered; the oldest are forgotten first. */
const REMEMBERED_BLOCKS = 4_096;

/** Traces of blocks that this worker has computed and may not have copied yet. */
export class TracedBlocks {
  private readonly traces = new Map<BlockKey, string>();

  constructor(private readonly tracer: Tracer) {}

  /** A request computes a block. @param trace its `traceparent`; null for none */
  note(key: BlockKey, trace: string | null): void {
    if (trace === null) return;
    this.traces.set(key, trace);
    if (this.traces.size <= REMEMBERED_BLOCKS) return;
    for (const oldest of this.traces.keys()) {
      this.traces.delete(oldest);
      return;
    }
  }

  /** Begins the record of a push of copies to a home: a part of the trace of the first new block that has one. */
  pushing(peer: string, debts: readonly Pick<Debt, 'block' | 'cause'>[]): Span {
    if (this.traces.size === 0) return NO_SPAN;
    const traces = debts.flatMap(({ block, cause }) => (cause === 'new' ? (this.traces.get(block.key) ?? []) : []));
    if (traces.length === 0) return NO_SPAN;
    const attributes = { 'shoal.peer': peer, 'shoal.blocks.offered': debts.length };
    return this.tracer.start('shoal.replicate', traces[0]!, attributes, 'client');
  }
}

/** The outcome of a push, with which its record ends. */
export async function pushEnded(pushing: Promise<ReadonlySet<BlockKey>>, span: Span): Promise<ReadonlySet<BlockKey>> {
  try {
    const taken = await pushing;
    span.set({ 'shoal.blocks': taken.size });
    span.end();
    return taken;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
