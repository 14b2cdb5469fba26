/** A limit on the work of one kind in one turn of the event loop, over everybody who asks for it, so that other events have their turn in between. */
export class TurnBudget {
  private spent = 0;
  private waiting: (() => void)[] = [];
  private due = false;

  /** @param most units of work in a turn */
  constructor(
    private readonly most: number,
    private readonly nextTurn: (begin: () => void) => void = setImmediate,
  ) {}

  /** Whether the work of this turn is used up. */
  get over(): boolean {
    return this.spent >= this.most;
  }

  /** Counts work, which may exceed what is left. */
  spend(units = 1): void {
    this.spent += units;
    this.schedule();
  }

  /** Calls back in a later turn in which work is left. Those that wait have their turn in the order in which they came. */
  wait(resume: () => void): void {
    this.waiting.push(resume);
    this.schedule();
  }

  private schedule(): void {
    if (this.due) return;
    this.due = true;
    this.nextTurn(() => this.begin());
  }

  private begin(): void {
    this.due = false;
    this.spent = 0;
    // Those that begin to wait again have their place behind the others.
    const { waiting } = this;
    this.waiting = [];
    let resumed = 0;
    while (resumed < waiting.length && !this.over) waiting[resumed++]!();
    if (resumed === waiting.length) return;
    this.waiting = [...waiting.slice(resumed), ...this.waiting];
    this.schedule();
  }
}
