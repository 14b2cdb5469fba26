import { z } from 'zod';
import { NodeAddress } from '../../actors/envelope.js';
import { InvalidRequest } from '../../errors.js';
import { ACTOR_NAME_CHARS } from '../../limits.js';
import { ObjectLost } from '../errors.js';

/** References to values that some process of the fleet stores. */

/** Where an object is. Travels in messages. */
export const ObjectAddress = z.strictObject({
  id: z.string().min(1).max(ACTOR_NAME_CHARS),
  owner: NodeAddress,
  bytes: z.int().min(0),
});
export type ObjectAddress = z.infer<typeof ObjectAddress>;

/** The part of the process that a reference needs. */
export interface ObjectAccess {
  /** The bytes of an object, for the caller to keep. @throws ObjectLost, Corrupt, Overloaded */
  copyOf(address: ObjectAddress): Promise<Uint8Array>;
  release(address: ObjectAddress): void;
  /** Releases an object when the reference to it is garbage. */
  track(ref: object, address: ObjectAddress): void;
  /** Stops the release of the reference as garbage. */
  forgetGarbage(ref: object): void;
}

/** How a value that was lost is computed again. */
export interface Lineage<T> {
  /** @throws `lost` if it may not be computed once more */
  run(lost: ObjectLost): Promise<ObjectRef<T>>;
  /** The reference to the value is given up. */
  release(): void;
}

/**
 * A reference to a value in the fleet. As an argument of a call, by itself, it becomes the value; within other values it stays a reference.
 * The process that stored the value owns it. It keeps the value while any process has a reference; if the owner ends, the value is lost.
 */
export class ObjectRef<T> {
  private isReleased = false;
  /** Computes the value again, if this process knows how. */
  private again: Lineage<T> | null = null;
  private computing: Promise<void> | null = null;

  /** @internal `unpack` gives the value of the bytes. */
  constructor(
    private at: ObjectAddress,
    private readonly access: ObjectAccess,
    private readonly unpack: (bytes: Uint8Array) => unknown,
  ) {}

  /** Bytes of the value as it is stored. */
  get byteLength(): number {
    return this.at.bytes;
  }

  /** @internal Throws InvalidRequest once it is released. */
  get address(): ObjectAddress {
    if (this.isReleased) throw new InvalidRequest(`the reference to ${this.at.id} has been released`);
    return this.at;
  }

  /** @internal */
  recomputeBy(again: Lineage<T>): this {
    this.again = again;
    return this;
  }

  /**
   * The value. Each call gives another copy.
   * @throws ObjectLost if no copy is left and it cannot be computed again, Overloaded if it does not fit into memory
   */
  async get(): Promise<T> {
    for (;;) {
      const { address, again } = this;
      try {
        return this.unpack(await this.access.copyOf(address)) as T;
      } catch (error) {
        if (again === null || !(error instanceof ObjectLost)) throw error;
        // Another reader may have had it computed again meanwhile.
        if (address.id !== this.at.id) continue;
        this.computing ??= this.compute(again, error).finally(() => {
          this.computing = null;
        });
        await this.computing;
      }
    }
  }

  private async compute({ run }: Lineage<T>, lost: ObjectLost): Promise<void> {
    const fresh = await run(lost);
    // Released while it was computed.
    if (this.isReleased) {
      fresh.release();
      return;
    }
    this.access.forgetGarbage(this);
    this.access.release(this.at);
    this.at = fresh.address;
    fresh.isReleased = true;
    this.access.forgetGarbage(fresh);
    this.access.track(this, this.at);
  }

  /** Gives the reference up before it is garbage. It must not be used or sent afterwards. Idempotent. */
  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.access.forgetGarbage(this);
    this.access.release(this.at);
    this.again?.release();
  }
}
