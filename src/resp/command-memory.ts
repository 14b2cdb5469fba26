import type { Clock } from '../clock.js';
import { Overloaded } from '../errors.js';

/**
 * The memory of commands that come in or are at work, as far as their arguments are not values: bounded over all clients of a process. Each tenant may
 * have as much as is free, as with `ValueStaging`; where all clients are one tenant, each connection.
 */

/** What each command has without asking, so that short ones always find room, and the steps in which others take more. @internal exported for tests. */
export const COMMAND_STEP_BYTES = 16 * 1024;
/** A command that has not ended after this long gives way to others when the memory is used up. @internal exported for tests. */
export const COMMAND_SLOW_MS = 10_000;

export class CommandMemory {
  private used = 0;
  private readonly owners = new Map<string | CommandShare, number>();
  /** Those that have asked for memory, the oldest first. */
  private readonly holders = new Set<CommandShare>();

  constructor(
    private readonly limitBytes: number,
    private readonly clock: Clock,
  ) {}

  get usedBytes(): number {
    return this.used;
  }

  /** The share of one connection. `onEvicted` is called if its command is slow and others need its memory; it is released then. */
  share(onEvicted: () => void): CommandShare {
    return new CommandShare(this, onEvicted);
  }

  /** @internal for `CommandShare`. Throws `Overloaded` if there is no room. */
  take(share: CommandShare, owner: string | CommandShare): void {
    while (!this.hasRoom(owner) && this.evictSlow(share));
    if (!this.hasRoom(owner)) {
      const own = this.owners.get(owner) ?? 0;
      throw new Overloaded(
        `commands have ${this.limitBytes} bytes of memory together, of which ${own} are in use here, and ${this.limitBytes - this.used} are free; retry later, or send fewer arguments at once`,
      );
    }
    this.count(owner, COMMAND_STEP_BYTES);
    this.holders.add(share);
  }

  /** @internal for `CommandShare` */
  free(share: CommandShare, owner: string | CommandShare, bytes: number): void {
    this.count(owner, -bytes);
    this.holders.delete(share);
  }

  get nowMs(): number {
    return this.clock.now();
  }

  private hasRoom(owner: string | CommandShare): boolean {
    return (this.owners.get(owner) ?? 0) + COMMAND_STEP_BYTES <= this.limitBytes - this.used;
  }

  private evictSlow(except: CommandShare): boolean {
    const [oldest] = this.holders;
    if (oldest === undefined || oldest === except || this.nowMs - oldest.sinceMs < COMMAND_SLOW_MS) return false;
    oldest.evict();
    return true;
  }

  private count(owner: string | CommandShare, bytes: number): void {
    this.used += bytes;
    const own = (this.owners.get(owner) ?? 0) + bytes;
    if (own === 0) this.owners.delete(owner);
    else this.owners.set(owner, own);
  }
}

/** The memory of the commands of one connection, of which one comes in or is at work at a time. */
export class CommandShare {
  /** When its command first asked for memory. */
  sinceMs = 0;
  private needed = 0;
  private taken = 0;
  private owner: string | CommandShare = this;

  constructor(
    private readonly memory: CommandMemory,
    private readonly onEvicted: () => void,
  ) {}

  /** Counts bytes of the present command. Throws `Overloaded` if there is no room for them. @param tenant null where all clients are one tenant */
  take(bytes: number, tenant: string | null): void {
    this.needed += bytes;
    while (this.needed > COMMAND_STEP_BYTES + this.taken) {
      if (this.taken === 0) {
        this.owner = tenant ?? this;
        this.sinceMs = this.memory.nowMs;
      }
      this.memory.take(this, this.owner);
      this.taken += COMMAND_STEP_BYTES;
    }
  }

  /** The command has ended, or what has come of it was given up. */
  release(): void {
    this.needed = 0;
    if (this.taken === 0) return;
    this.memory.free(this, this.owner, this.taken);
    this.taken = 0;
  }

  /** @internal for `CommandMemory` */
  evict(): void {
    this.release();
    this.onEvicted();
  }
}
