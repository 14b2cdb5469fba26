import type { RetentionOrder, Retentions, RetentionView } from '../../../../coordinator/retention/retentions.js';

/** Retentions whose answers a test scripts. */
export class ScriptedRetentions implements Retentions {
  readonly orders: RetentionOrder[] = [];
  views: RetentionView[] = [];
  /** The refusal of the next orders; null to take them. */
  refusal: { readonly type: 'quota' | 'memory'; readonly why: string } | null = null;

  async add(order: RetentionOrder): ReturnType<Retentions['add']> {
    this.orders.push(order);
    if (this.refusal !== null) return this.refusal;
    const { owner, layer, tokens, ttlMs } = order;
    const [createdMs, blocks] = [1_700_000_000_000, Math.floor(tokens.length / 64)];
    const view: RetentionView = {
      ...{ id: `pin-${this.views.length}`, owner, layer, tokens: tokens.length, blocks },
      ...{ createdMs, expiresMs: createdMs + ttlMs, reason: null, copies: 0, state: 'pending' },
    };
    this.views.push(view);
    return view;
  }

  async remove(id: string, owner: string | null, check: (layer: string) => void): Promise<boolean> {
    const layer = this.views.find((view) => view.id === id && view.owner === owner)?.layer;
    if (layer) check(layer);
    const left = this.views.filter((view) => view.id !== id || view.owner !== owner);
    const removed = left.length < this.views.length;
    this.views = left;
    return removed;
  }

  async list(owner: string | null): Promise<RetentionView[]> {
    return this.views.filter((view) => view.owner === owner);
  }
}
