import { TurnBudget } from '../async/turn-budget.js';

/** The commands that one process takes in a turn of the event loop, from all clients of the Redis protocol together. */

/** Steps of reading in one turn. A command of one argument takes five. */
const TURN_STEPS = 16_384;
/** The same for all clients together that have not proved themselves. They need a few commands each for that. */
const STRANGER_TURN_STEPS = 1_024;
/** The cost of running a command, in steps. */
const COMMAND_STEPS = 8;
/** Commands that a client may send without having proved itself, beside those with which it proves itself; empty ones count. */
const STRANGER_COMMANDS = 32;

export class RespTurns {
  readonly clients = new TurnBudget(TURN_STEPS);
  readonly strangers = new TurnBudget(STRANGER_TURN_STEPS);
}

export interface RespPaceOptions {
  readonly turns: RespTurns;
  readonly trusted: () => boolean;
}

/** The part of one client in the turns. */
export class RespPace {
  private strikes = 0;

  constructor(private readonly options: RespPaceOptions) {}

  /** Whether the client has to wait for another turn. */
  get over(): boolean {
    return this.budget.over;
  }

  /** Calls back in a later turn. */
  wait(resume: () => void): void {
    this.budget.wait(resume);
  }

  step(): void {
    this.budget.spend();
  }

  command(): void {
    this.budget.spend(COMMAND_STEPS);
  }

  /** A command of a client that has not proved itself did not help to. False if it has sent enough of them. */
  strike(): boolean {
    return ++this.strikes <= STRANGER_COMMANDS;
  }

  private get budget(): TurnBudget {
    const { turns, trusted } = this.options;
    return trusted() ? turns.clients : turns.strangers;
  }
}
