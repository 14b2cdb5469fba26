import type { DialledSocket, PeerNetwork } from '../../src/peer/wire/network.js';
import type { PeerSocket } from '../../src/peer/wire/socket.js';
import type { Cut } from './cut.js';

/** A network between peers whose connections are closed, and new ones refused, while the worker is cut off. */
export function cuttableNetwork(network: PeerNetwork, cut: Cut): PeerNetwork {
  const open = new Set<PeerSocket>();
  cut.onChange(() => {
    if (cut.active) for (const socket of [...open]) socket.destroy();
  });
  const watched = (socket: PeerSocket): PeerSocket => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    return socket;
  };
  const guarded = (dialled: DialledSocket): DialledSocket => ({
    address: dialled.address,
    open: (inlet) => watched(dialled.open(inlet)),
    refuse: () => dialled.refuse(),
  });
  return {
    dial: (endpoint, inlet, options) =>
      cut.active ? new UnreachablePeer() : watched(network.dial(endpoint, inlet, options)),
    knock: async (endpoint, timeoutMs) => (cut.active ? 'unknown' : network.knock(endpoint, timeoutMs)),
    listen: (at, options, { enter, accept }) =>
      network.listen(at, options, {
        enter: (address, evict) => (cut.active ? null : enter(address, evict)),
        accept: (dialled) => (cut.active ? dialled.refuse() : accept(guarded(dialled))),
      }),
  };
}

/** A connection that never comes about. */
class UnreachablePeer implements PeerSocket {
  readonly writableLength = 0;
  private readonly closing: (() => void)[] = [];
  private readonly failing: ((error: Error) => void)[] = [];
  private over = false;

  constructor() {
    setImmediate(() => this.end(new Error('this worker is cut off for a while, by an order')));
  }

  get destroyed(): boolean {
    return this.over;
  }

  setTimeout(): void {}

  on(event: 'timeout' | 'close' | 'error', listener: (error: Error) => void): void {
    if (event === 'error') this.failing.push(listener);
    if (event === 'close') this.closing.push(listener as () => void);
  }

  /** Nothing is read of the bytes. */
  write(_bytes: Uint8Array, taken?: () => void): void {
    if (taken !== undefined) setImmediate(taken);
  }

  cork(): void {}

  uncork(): void {}

  destroy(): void {
    setImmediate(() => this.end(null));
  }

  private end(error: Error | null): void {
    if (this.over) return;
    this.over = true;
    if (error !== null) for (const listener of this.failing) listener(error);
    for (const listener of this.closing) listener();
  }
}
