import type { BlockKey, SealedBlock } from './block.js';
import { type Debt, type DebtCause, DebtLines, slotOf } from './debt-lines.js';

/** The copies that a worker owes to homes, in bounded memory, the most endangered blocks first. */

interface Entry extends Debt {
  cause: DebtCause;
  /** How often the home had no memory for the block. */
  refusals: number;
  /** `due` waits for its turn, `resting` for its time; `refused` waits no more, but the block still lacks a copy. */
  state: 'due' | 'resting' | 'refused';
  restsUntilMs: number;
  slot: number;
}

type WaitingEntry = Entry & { readonly state: 'due' | 'resting' };

/** All debts of one block. */
interface BlockDebts {
  readonly entries: Map<string, Entry>;
  /** Homes of the block besides this worker. */
  otherHomes: number;
}

/**
 * The debts of one worker: pairs of a block and a home that has no copy of it. A debt stays until it is paid, until the block or the home is gone,
 * or until the home has refused the block several times. The known copies of a block are the worker's own and one at each other home to which it
 * is not owed. When the ledger is full, it drops a debt of the block with the most known copies, and counts it.
 */
export class Debts {
  private readonly blocks = new Map<BlockKey, BlockDebts>();
  private readonly lines = new DebtLines<Entry>();
  private readonly refused = new Set<Entry>();
  /** Resting entries by the end of their rest. An entry that was moved since stays in its list until then. */
  private readonly rests = new Map<number, Entry[]>();
  private readonly droppedTo = new Map<string, number>();
  private total = 0;
  private waitingCopies = 0;
  private lackingBlocks = 0;

  constructor(readonly bound: number) {}

  /** All debts in memory. */
  get size(): number {
    return this.total;
  }

  /** Copies that wait to be made. Checks do not count: most likely those copies exist. */
  get waiting(): number {
    return this.waitingCopies;
  }

  /** Blocks that lack a copy, including blocks with refused and dropped debts. */
  get lacking(): number {
    let dropped = 0;
    for (const count of this.droppedTo.values()) dropped += count;
    return this.lackingBlocks + dropped;
  }

  /** Workers to which copies are owed that are due. */
  get creditors(): string[] {
    return this.lines.creditors;
  }

  /** When the next resting debt is due; null if none rests. */
  get nextDueMs(): number | null {
    let nextMs: number | null = null;
    for (const untilMs of this.rests.keys()) if (nextMs === null || untilMs < nextMs) nextMs = untilMs;
    return nextMs;
  }

  /**
   * Adds a debt for each block that has none to this worker.
   * @param otherHomes homes of the blocks besides this worker
   * @param untilMs when the debts are due; null for at once
   */
  owe(
    blocks: readonly SealedBlock[],
    to: string,
    cause: DebtCause,
    otherHomes: number,
    untilMs: number | null = null,
  ): void {
    const resting: Entry[] = [];
    for (const block of blocks) {
      const entry = this.enter(block, to, cause, otherHomes, untilMs);
      if (entry?.state === 'resting') resting.push(entry);
    }
    if (untilMs !== null) this.wakeLater(resting, untilMs);
  }

  /** Whether a copy is owed to this worker and is not refused. */
  owes(key: BlockKey, to: string): boolean {
    const entry = this.blocks.get(key)?.entries.get(to);
    return entry !== undefined && entry.state !== 'refused';
  }

  /** Whether a debt to this worker is due. Without `repairs`, only debts of new blocks count. */
  isDue(to: string, repairs: boolean): boolean {
    return this.lines.isDue(to, repairs);
  }

  /** The first debts to this worker that are due, the most endangered blocks first. Without `repairs`, only debts of new blocks. */
  next(to: string, most: number, repairs: boolean): Debt[] {
    return this.lines.next(to, most, repairs);
  }

  /** The worker has the block. */
  paid(key: BlockKey, to: string): void {
    const entry = this.blocks.get(key)?.entries.get(to);
    if (entry) this.remove(entry);
  }

  /** The worker has no memory for these blocks. Gives the debts by how often that has happened to each. */
  refuse(debts: readonly Debt[]): ReadonlyMap<number, readonly Debt[]> {
    const byRefusals = new Map<number, Debt[]>();
    for (const debt of debts) {
      const entry = this.current(debt);
      if (!entry) continue;
      const equal = byRefusals.get(++entry.refusals) ?? [];
      byRefusals.set(entry.refusals, equal);
      equal.push(entry);
    }
    return byRefusals;
  }

  /** Leaves the debt alone until then. */
  rest(debts: readonly Debt[], untilMs: number): void {
    const entries = debts.flatMap((debt) => this.current(debt) ?? []);
    for (const entry of entries) this.move(entry, 'resting', untilMs);
    this.wakeLater(entries, untilMs);
  }

  /** Ends the tries to pay the debts; the blocks count as lacking a copy. */
  giveUp(debts: readonly Debt[]): void {
    for (const debt of debts) {
      const entry = this.current(debt);
      if (entry) this.move(entry, 'refused');
    }
  }

  /** The home has no room and evicts nothing: these debts rest as checks, and their blocks do not count as lacking a copy. */
  excuse(debts: readonly Debt[], untilMs: number): void {
    for (const debt of debts) {
      const entry = this.current(debt);
      if (!entry) continue;
      this.unplace(entry);
      this.count(entry, -1);
      entry.cause = 'check';
      this.count(entry, 1);
      this.place(entry);
      this.relevel(this.blocks.get(entry.block.key)!);
    }
    this.rest(debts, untilMs);
  }

  /** Puts debts behind all others of their slot. */
  postpone(debts: readonly Debt[]): void {
    for (const debt of debts) {
      const entry = this.current(debt);
      if (entry) this.move(entry, entry.state, entry.restsUntilMs);
    }
  }

  /** Ends the rest of all debts whose time has come. */
  wake(nowMs: number): void {
    for (const [untilMs, entries] of [...this.rests]) {
      if (untilMs > nowMs) continue;
      this.rests.delete(untilMs);
      for (const entry of entries) {
        if (this.current(entry) && entry.state === 'resting' && entry.restsUntilMs <= nowMs) this.move(entry, 'due');
      }
    }
  }

  /** The block is not here any more. False if none of its copies was owed. */
  forget(key: BlockKey): boolean {
    const own = this.blocks.get(key);
    for (const entry of own ? [...own.entries.values()] : []) this.remove(entry);
    return own !== undefined;
  }

  /** Workers to which debts were dropped for lack of memory, if there is memory now and nothing else is owed to them. */
  get recoverable(): string[] {
    if (this.total > this.bound / 2) return [];
    return [...this.droppedTo.keys()].filter((to) => !this.lines.has(to));
  }

  /** Debts to this worker that were dropped for lack of memory and not found again. */
  dropped(to: string): number {
    return this.droppedTo.get(to) ?? 0;
  }

  /** So many dropped debts to this worker were found again. */
  found(to: string, dropped: number): void {
    const left = this.dropped(to) - dropped;
    if (left > 0) this.droppedTo.set(to, left);
    else this.droppedTo.delete(to);
  }

  /** Removes all debts that are not wanted. Gives the new blocks among them that wait to be copied, each once. */
  keep(wanted: (debt: Debt) => boolean): SealedBlock[] {
    const fresh = new Map<BlockKey, SealedBlock>();
    for (const { entries } of [...this.blocks.values()]) {
      for (const entry of [...entries.values()]) {
        if (wanted(entry)) continue;
        this.remove(entry);
        if (entry.cause === 'new' && entry.state !== 'refused') fresh.set(entry.block.key, entry.block);
      }
    }
    return [...fresh.values()];
  }

  /** Forgets the dropped debts to workers that are no longer homes of anything. */
  keepDropped(wanted: (to: string) => boolean): void {
    for (const to of [...this.droppedTo.keys()]) if (!wanted(to)) this.droppedTo.delete(to);
  }

  clear(): void {
    this.blocks.clear();
    this.lines.clear();
    this.refused.clear();
    this.rests.clear();
    this.droppedTo.clear();
    this.total = 0;
    this.waitingCopies = 0;
    this.lackingBlocks = 0;
  }

  private enter(
    block: SealedBlock,
    to: string,
    cause: DebtCause,
    otherHomes: number,
    untilMs: number | null,
  ): Entry | null {
    const known = this.blocks.get(block.key)?.entries.get(to);
    // A check says less than a debt that is known.
    if (known && (cause === 'check' || (known.cause !== 'check' && known.state !== 'refused'))) return null;
    if (known) this.remove(known);
    if (this.total >= this.bound && !this.dropFor(cause)) {
      if (cause !== 'check') this.countDropped(to);
      return null;
    }
    const own = this.blocks.get(block.key) ?? { entries: new Map<string, Entry>(), otherHomes };
    this.blocks.set(block.key, own);
    own.otherHomes = otherHomes;
    const state = untilMs === null ? 'due' : 'resting';
    const entry: Entry = { block, to, cause, refusals: 0, state, restsUntilMs: untilMs ?? 0, slot: 0 };
    own.entries.set(to, entry);
    this.count(entry, 1);
    this.place(entry);
    this.relevel(own);
    return entry;
  }

  /** Makes room for one debt: drops a refused one, else the oldest of the blocks with the most known copies. False if none may go for this cause. */
  private dropFor(cause: DebtCause): boolean {
    const victim = this.refused.values().next().value ?? this.lines.last;
    if (victim === undefined || (cause === 'check' && victim.cause !== 'check')) return false;
    this.remove(victim);
    if (victim.cause !== 'check') this.countDropped(victim.to);
    return true;
  }

  private wakeLater(entries: readonly Entry[], untilMs: number): void {
    if (entries.length === 0) return;
    const known = this.rests.get(untilMs) ?? [];
    this.rests.set(untilMs, known);
    for (const entry of entries) known.push(entry);
  }

  private countDropped(to: string): void {
    this.droppedTo.set(to, this.dropped(to) + 1);
  }

  /** The entry of a debt that has not been removed since. */
  private current(debt: Debt): Entry | null {
    const entry = this.blocks.get(debt.block.key)?.entries.get(debt.to);
    return entry === debt ? entry : null;
  }

  private remove(entry: Entry): void {
    const { key } = entry.block;
    const own = this.blocks.get(key)!;
    this.unplace(entry);
    own.entries.delete(entry.to);
    this.count(entry, -1);
    if (own.entries.size === 0) this.blocks.delete(key);
    else this.relevel(own);
  }

  private move(entry: Entry, state: Entry['state'], restsUntilMs = 0): void {
    this.unplace(entry);
    this.count(entry, -1);
    entry.state = state;
    entry.restsUntilMs = restsUntilMs;
    // That the worker lacks the block is known now.
    if (state === 'refused') entry.cause = entry.cause === 'check' ? 'moved' : entry.cause;
    this.count(entry, 1);
    this.place(entry);
  }

  private count(entry: Entry, sign: 1 | -1): void {
    this.total += sign;
    if (entry.cause === 'check') return;
    if (entry.state !== 'refused') this.waitingCopies += sign;
    const own = this.blocks.get(entry.block.key)!;
    // Called after the entry is added, and after it is deleted.
    const others = countedOf(own, entry);
    if (others === 0) this.lackingBlocks += sign;
  }

  /** Moves the debts of a block to the slots of its number of known copies. */
  private relevel(own: BlockDebts): void {
    for (const entry of own.entries.values()) {
      if (entry.state === 'refused' || entry.slot === slotIn(own, entry)) continue;
      this.unplace(entry);
      this.place(entry);
    }
  }

  private place(entry: Entry): void {
    if (entry.state === 'refused') {
      this.refused.add(entry);
      return;
    }
    this.lines.add(entry as WaitingEntry, slotIn(this.blocks.get(entry.block.key)!, entry));
  }

  private unplace(entry: Entry): void {
    if (this.refused.delete(entry) || entry.state === 'refused') return;
    this.lines.remove(entry as WaitingEntry);
  }
}

function slotIn(own: BlockDebts, { cause }: Entry): number {
  return slotOf(cause, 1 + Math.max(0, own.otherHomes - countedOf(own, null)));
}

/** Debts of a block that are not checks, without `except`. */
function countedOf(own: BlockDebts, except: Entry | null): number {
  let counted = 0;
  for (const entry of own.entries.values()) if (entry !== except && entry.cause !== 'check') counted++;
  return counted;
}
