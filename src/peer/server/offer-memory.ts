/** Bounds the memory that a worker sets aside for blocks whose bytes peers have promised and not sent. */

/**
 * Counts the blocks that are reserved for each peer and for all together. Every reservation may have evicted a block that was of use, so a peer that
 * only offers must not get far, over however many requests and connections.
 */
export class OfferMemory {
  private readonly byPeer = new Map<string, number>();
  private all = 0;

  /** @param perPeer, inAll limits in blocks */
  constructor(
    private readonly perPeer: number,
    private readonly inAll: number,
  ) {}

  /** Counts one more block for a peer. False if that would be over a limit: nothing may be reserved then. */
  take(peer: string): boolean {
    const held = this.byPeer.get(peer) ?? 0;
    if (held >= this.perPeer || this.all >= this.inAll) return false;
    this.byPeer.set(peer, held + 1);
    this.all++;
    return true;
  }

  /** A block of the peer has come, or does not come any more. */
  giveBack(peer: string): void {
    const held = this.byPeer.get(peer) ?? 0;
    if (held > 1) this.byPeer.set(peer, held - 1);
    else this.byPeer.delete(peer);
    this.all--;
  }
}
