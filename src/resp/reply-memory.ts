/**
 * The memory of replies that clients have not taken yet: bounded over all clients of a process. Bytes of values that are in this process's memory for
 * objects anyway are not among them. A tenant may have as much as it leaves free, as with `CommandMemory`; where all clients are one tenant, each
 * connection. A client without room waits: none is disconnected, and no reply is lost.
 */

/** What each connection has without asking, so that a client with short replies never waits for others. */
export const REPLY_FREE_BYTES = 16 * 1024;

export class ReplyMemory {
  private used = 0;
  private readonly owners = new Map<string | ReplyShare, number>();
  private waiting: (() => void)[] = [];

  constructor(private readonly limitBytes: number) {}

  /** Bytes beyond those that connections have without asking. */
  get usedBytes(): number {
    return this.used;
  }

  /** The share of one connection. */
  share(): ReplyShare {
    return new ReplyShare(this);
  }

  /** @internal for `ReplyShare` */
  hasRoom(owner: string | ReplyShare, bytes: number): boolean {
    return (this.owners.get(owner) ?? 0) + bytes <= this.limitBytes - this.used;
  }

  /** @internal for `ReplyShare` */
  count(owner: string | ReplyShare, bytes: number): void {
    this.used += bytes;
    const own = (this.owners.get(owner) ?? 0) + bytes;
    if (own === 0) this.owners.delete(owner);
    else this.owners.set(owner, own);
    if (bytes >= 0) return;
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }

  /** Calls once when bytes are freed. */
  onFreed(wake: () => void): void {
    this.waiting.push(wake);
  }
}

/** The memory of the replies of one connection. */
export class ReplyShare {
  private counted = 0;
  private owner: string | ReplyShare = this;

  constructor(private readonly memory: ReplyMemory) {}

  /** The connection has this many bytes now. @param tenant null where all clients are one tenant */
  set(bytes: number, tenant: string | null): void {
    const counted = beyondFree(bytes);
    if (counted === this.counted) return;
    if (this.counted === 0) this.owner = tenant ?? this;
    const change = counted - this.counted;
    this.counted = counted;
    this.memory.count(this.owner, change);
  }

  /**
   * Whether the connection may have this many bytes.
   * @param unsent those of them that its client has to take: a connection that asks for no more need not wait once they are few
   */
  fits(bytes: number, unsent: number, tenant: string | null): boolean {
    const wanted = beyondFree(bytes);
    if (wanted === 0) return true;
    const owner = this.counted === 0 ? (tenant ?? this) : this.owner;
    if (wanted <= this.counted) return unsent <= REPLY_FREE_BYTES || this.memory.hasRoom(owner, 0);
    return this.memory.usedBytes === 0 || this.memory.hasRoom(owner, wanted - this.counted);
  }

  /** Calls once when any connection has freed bytes. */
  onFreed(wake: () => void): void {
    this.memory.onFreed(wake);
  }
}

function beyondFree(bytes: number): number {
  return Math.max(0, bytes - REPLY_FREE_BYTES);
}
