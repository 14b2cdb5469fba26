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
  /** Stops the release of the reference as garbage. */
  forgetGarbage(ref: object): void;
}

/**
 * A reference to a value in the fleet. As an argument of a call, by itself, it becomes the value; within other values it stays a reference.
 * The process that stored the value owns it. It keeps the value while any process has a reference; if the owner ends, the value is lost.
 */
export class ObjectRef<T> {
  private isReleased = false;
  /** Computes the value again, if this process knows how. */
  private again: (() => Promise<ObjectRef<T>>) | null = null;

  /** @internal `unpack` gives the value of the bytes. */
  constructor(
    private readonly at: ObjectAddress,
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
  recomputeBy(again: () => Promise<ObjectRef<T>>): this {
    this.again = again;
    return this;
  }

  /**
   * The value. Each call gives another copy.
   * @throws ObjectLost if no copy is left and it cannot be computed again, Overloaded if it does not fit into memory
   */
  async get(): Promise<T> {
    try {
      return this.unpack(await this.access.copyOf(this.address)) as T;
    } catch (error) {
      const { again } = this;
      if (again === null || !(error instanceof ObjectLost)) throw error;
      return (await again()).get();
    }
  }

  /** Gives the reference up before it is garbage. It must not be used or sent afterwards. Idempotent. */
  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.access.forgetGarbage(this);
    this.access.release(this.at);
  }
}
