import { InternalError } from '../errors.js';
import type { BlockKey } from './block.js';

/**
 * Memory that is set aside for a block whose bytes are still to come.
 *
 * The holder fills the memory, then calls exactly one of `commit` and `abort`, exactly once. The call ends the holder's right to the memory: the
 * holder neither reads nor writes the memory from then on, and the owner of the memory decides when it is reused. After `abort` that may be at
 * once. After `commit` the memory keeps the bytes for as long as the block stays and is pinned; where `commit` returns a promise, that promise
 * settles when the block can be read, or rejects when the block cannot be kept.
 */
export interface Reservation<Memory = Uint8Array, Result = void, Args extends readonly unknown[] = []> {
  /** To be filled by the holder. */
  readonly memory: Memory;
  /** The bytes are there and final. */
  commit(...args: Args): Result;
  /** The bytes do not come. */
  abort(): void;
}

/** Why no memory is reserved: the block is present or incoming, or no memory is free and nothing may be evicted. */
export type NoReservation = 'present' | 'full';

/** The owner's callbacks at the end of a reservation. */
export interface ReservationEnd<Result, Args extends readonly unknown[]> {
  commit(...args: Args): Result;
  abort(): void;
}

/** A reservation of memory for the block `key`. Ending it twice throws `InternalError`. */
export function reservation<Memory, Result, Args extends readonly unknown[]>(
  key: BlockKey,
  memory: Memory,
  end: ReservationEnd<Result, Args>,
): Reservation<Memory, Result, Args> {
  let open = true;
  const close = (verb: string) => {
    if (!open) throw new InternalError(`cannot ${verb} the reservation of block ${key}: it was ended before`);
    open = false;
  };
  return {
    memory,
    commit: (...args) => {
      close('commit');
      return end.commit(...args);
    },
    abort: () => {
      close('abort');
      end.abort();
    },
  };
}
