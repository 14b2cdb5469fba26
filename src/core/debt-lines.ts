import type { BlockKey, SealedBlock } from './block.js';

/** The debts to each home, in the order in which they are paid. */

/** Why a copy is owed: the block is new, has other homes than before, or is most likely there already. */
export type DebtCause = 'new' | 'moved' | 'check';

/** One block that is owed to one home. */
export interface Debt {
  readonly block: SealedBlock;
  readonly to: string;
  readonly cause: DebtCause;
}

/** A debt that waits: `due` for its turn, `resting` for its time. */
interface Waiting extends Debt {
  readonly state: 'due' | 'resting';
  /** Where it waits; set when it is added. */
  slot: number;
}

/** Debts by slot, each slot in order of arrival. */
type Slots<D> = readonly Map<BlockKey, D>[];

interface Line<D> {
  readonly due: Slots<D>;
  readonly resting: Slots<D>;
}

/** Levels of known copies: one, two, more. */
const COPY_LEVELS = 3;
/** Two slots for each level, for new blocks and for moved blocks; the last slot is for checks. */
const CHECK_SLOT = 2 * COPY_LEVELS;
const SLOTS = CHECK_SLOT + 1;

/** The slot of a debt. Slots are paid in ascending order: the fewest known copies first, checks last. */
export function slotOf(cause: DebtCause, knownCopies: number): number {
  if (cause === 'check') return CHECK_SLOT;
  return 2 * (Math.min(knownCopies, COPY_LEVELS) - 1) + (cause === 'moved' ? 1 : 0);
}

/** One line of debts for each home. */
export class DebtLines<D extends Debt> {
  private readonly lines = new Map<string, Line<D & Waiting>>();

  /** Homes that have debts which are due. */
  get creditors(): string[] {
    return [...this.lines.keys()].filter((to) => this.isDue(to, true));
  }

  /** Whether a debt to this home waits. */
  has(to: string): boolean {
    return this.lines.has(to);
  }

  /** Puts a debt behind all others of its slot. */
  add(debt: D & Waiting, slot: number): void {
    debt.slot = slot;
    const line = this.lines.get(debt.to) ?? { due: emptySlots(), resting: emptySlots() };
    this.lines.set(debt.to, line);
    line[debt.state][slot]!.set(debt.block.key, debt);
  }

  /** Removes a debt, which has the state in which it was added. */
  remove({ block, to, state, slot }: Waiting): void {
    const line = this.lines.get(to)!;
    line[state][slot]!.delete(block.key);
    if ([...line.due, ...line.resting].every(({ size }) => size === 0)) this.lines.delete(to);
  }

  /** Whether a debt to this home is due. Without `repairs`, only debts of new blocks count. */
  isDue(to: string, repairs: boolean): boolean {
    return this.lines.get(to)?.due.some((slot, i) => slot.size > 0 && (repairs || isOfNew(i))) ?? false;
  }

  /** The first debts to this home that are due. Without `repairs`, only debts of new blocks. */
  next(to: string, most: number, repairs: boolean): Debt[] {
    const next: Debt[] = [];
    for (const [i, slot] of this.lines.get(to)?.due.entries() ?? []) {
      if (!repairs && !isOfNew(i)) continue;
      for (const debt of slot.values()) {
        if (next.length === most) return next;
        next.push(debt);
      }
    }
    return next;
  }

  /** The oldest debt of the longest slot with the most known copies. */
  get last(): D | undefined {
    for (let level = COPY_LEVELS; level >= 0; level--) {
      let longest: Map<BlockKey, D> | undefined;
      for (const { due, resting } of this.lines.values()) {
        for (const slot of [...slotsOfLevel(resting, level), ...slotsOfLevel(due, level)]) {
          if (slot.size > (longest?.size ?? 0)) longest = slot;
        }
      }
      if (longest) return longest.values().next().value;
    }
    return undefined;
  }

  clear(): void {
    this.lines.clear();
  }
}

function emptySlots<D>(): Slots<D> {
  return Array.from({ length: SLOTS }, () => new Map<BlockKey, D>());
}

/** The slots of one level of known copies; the level after the last is for checks. */
function slotsOfLevel<D>(slots: Slots<D>, level: number): Slots<D> {
  return slots.slice(2 * level, 2 * level + 2);
}

function isOfNew(slot: number): boolean {
  return slot !== CHECK_SLOT && slot % 2 === 0;
}
