import { Mutex } from '../../async/mutex.js';
import { InvalidRequest, Unavailable } from '../../errors.js';
import type { WireValue } from '../messages.js';

/** Saves the result of an actor's `save()` for the actor's next incarnation: with its owner, or in its record. */

/** The user's `save()` failed, with any kind of error. */
export class SaveFailed extends Error {
  constructor(readonly thrown: unknown) {
    super('save() failed');
  }
}

export interface CheckpointsOptions {
  /** Calls between two checkpoints. */
  readonly every: number;
  /** The state of the actor as a message. Throws SaveFailed if its `save()` throws. */
  readonly save: () => Promise<WireValue>;
  /** Keeps the state. False if the actor is elsewhere by now. */
  readonly keep: (sequence: number, state: WireValue) => Promise<boolean>;
}

export class Checkpoints {
  private readonly turn = new Mutex();
  private calls = 0;
  private sequence = 0;

  constructor(private readonly options: CheckpointsOptions) {}

  /**
   * Call it after each call, before that is answered: with `every` at 1, a checkpoint then covers every answered call.
   * @throws SaveFailed; Unavailable if the actor is elsewhere or the store cannot be reached; other errors if the state cannot be kept
   */
  async afterCall(): Promise<void> {
    const { every, save, keep } = this.options;
    if (++this.calls % every !== 0) return;
    const isKept = await this.turn.run(async () => keep(++this.sequence, await save()));
    if (!isKept) throw new Unavailable('the node lost the actor during the call');
  }
}

/** An actor with checkpoints. */
interface Saving {
  save(): unknown;
  restore(state: unknown): unknown;
}

/** What the `save()` of an actor returns. @throws SaveFailed */
export async function savedBy(actor: Saving): Promise<unknown> {
  try {
    return await actor.save();
  } catch (error) {
    throw new SaveFailed(error);
  }
}

/** @throws InvalidRequest if the class has no `save()` or no `restore(state)` */
export function savingOf(value: object, className: string): Saving {
  const { save, restore } = value as Partial<Saving>;
  if (typeof save === 'function' && typeof restore === 'function') return value as Saving;
  throw new InvalidRequest(`checkpointEvery: ${className} must have the methods save() and restore(state)`);
}
