import type { KnockAnswer } from '../../src/core/knock-answer.js';
import { digestOf } from '../../src/digest.js';
import { Unavailable } from '../../src/errors.js';
import type { DialledSocket, PeerNetwork } from '../../src/peer/wire/network.js';
import type { Endpoint, Inlet, PeerSocket } from '../../src/peer/wire/socket.js';
import type { Net, Wire } from './net.js';
import type { SimProcess } from './sim-process.js';
import type { Pending } from './virtual-time.js';

/** Sockets between peers over the simulated network. The production code above them is the real one, to the last byte of a frame. */

/** Bytes that are taken at once: frames without a payload. */
const SMALL_BYTES = 400;

interface Listening {
  readonly process: SimProcess;
  readonly accept: (dialled: DialledSocket) => void;
}

/** All listeners of the fleet, by `host:port`. */
export class SimSockets {
  private readonly listening = new Map<string, Listening>();
  private readonly speeds = new Map<string, number>();
  private ports = 0;

  constructor(
    private readonly net: Net,
    private readonly payloadBytesPerMs: number,
    /** The memory of a payload changed while it was sent. */
    private readonly onTorn: (process: SimProcess) => void,
  ) {}

  /** Sends what leaves this host at a fraction of the speed, until the result is called. */
  slow(host: string, speed: number): () => void {
    this.speeds.set(host, speed * (this.speeds.get(host) ?? 1));
    return () => this.speeds.set(host, this.speeds.get(host)! / speed);
  }

  /** How fast a payload leaves a host at present. */
  bytesPerMs(host: string): number {
    return this.payloadBytesPerMs * (this.speeds.get(host) ?? 1);
  }

  /** The network as one process sees it. */
  of(process: SimProcess): PeerNetwork {
    return {
      dial: (endpoint, inlet) => this.dial(process, endpoint, inlet),
      knock: (endpoint, timeoutMs) => this.knock(process, endpoint, timeoutMs),
      listen: async (at, _options, { accept }) => {
        if ('path' in at) throw new Unavailable('the simulated network has no Unix sockets');
        const port = 1 + (this.ports++ % 65_535);
        const name = `${process.host}:${port}`;
        this.listening.set(name, { process, accept });
        const end = () => this.listening.delete(name);
        process.onDeath(end);
        return { port, close: async () => void end() };
      },
    };
  }

  private socket(process: SimProcess, out: Wire): SimSocket {
    return new SimSocket(process, this.net, out, () => this.bytesPerMs(process.host), this.onTorn);
  }

  /** A process that stands still accepts connections, too. */
  private knock(process: SimProcess, endpoint: Endpoint, timeoutMs: number): Promise<KnockAnswer> {
    if ('path' in endpoint) throw new Unavailable('the simulated network has no Unix sockets');
    const { host, port } = endpoint;
    const [there, back] = [this.net.wire(process.host, host), this.net.wire(host, process.host)];
    return new Promise((resolve) => {
      const timer = process.clock.after(timeoutMs, () => resolve('unknown'));
      there.send(() => {
        const presence = this.listening.get(`${host}:${port}`)?.process.alive ? 'there' : 'ended';
        back.send(() =>
          process.post(() => {
            timer.cancel();
            resolve(presence);
          }),
        );
      });
    });
  }

  private dial(process: SimProcess, endpoint: Endpoint, inlet: Inlet): PeerSocket {
    if ('path' in endpoint) throw new Unavailable('the simulated network has no Unix sockets');
    const { host, port } = endpoint;
    const [there, back] = [this.net.wire(process.host, host), this.net.wire(host, process.host)];
    const client = this.socket(process, there);
    client.inlet = inlet;
    there.send(() => {
      const found = this.listening.get(`${host}:${port}`);
      if (!found?.process.alive) {
        back.send(() => client.broken('connect ECONNREFUSED'));
        return;
      }
      const server = this.socket(found.process, back);
      server.peer = client;
      client.peer = server;
      found.process.post(() => {
        if (server.destroyed) return;
        const open = (into: Inlet) => {
          server.inlet = into;
          return server;
        };
        found.accept({ address: process.host, open, refuse: () => server.destroy() });
      });
    });
    return client;
  }
}

interface Write {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly taken: (() => void) | undefined;
}

/** One end of a connection. */
export class SimSocket implements PeerSocket {
  destroyed = false;
  peer: SimSocket | null = null;
  inlet: Inlet | null = null;
  private readonly writes: Write[] = [];
  private taking: Pending | null = null;
  private readonly listeners: { timeout: (() => void)[]; close: (() => void)[]; error: ((error: Error) => void)[] } = {
    timeout: [],
    close: [],
    error: [],
  };
  private movedMs: number;
  private closed = false;

  constructor(
    private readonly process: SimProcess,
    private readonly net: Net,
    private readonly out: Wire,
    private readonly bytesPerMs: () => number,
    private readonly onTorn: (process: SimProcess) => void,
  ) {
    this.movedMs = net.options.time.nowMs;
    process.onDeath(() => this.died());
  }

  get writableLength(): number {
    return this.writes.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  setTimeout(timeoutMs: number): void {
    const { time } = this.net.options;
    const { clock } = this.process;
    const watch = (afterMs: number) =>
      clock.after(afterMs, () => {
        if (this.destroyed) return;
        const leftMs = this.movedMs + timeoutMs - time.nowMs;
        if (leftMs <= 0) {
          this.movedMs = time.nowMs;
          for (const listener of this.listeners.timeout) listener();
        }
        watch(leftMs <= 0 ? timeoutMs : Math.max(1, leftMs));
      });
    watch(timeoutMs);
  }

  on(event: 'timeout' | 'close', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'timeout' | 'close' | 'error', listener: (error: Error) => void): void {
    (this.listeners[event] as ((error: Error) => void)[]).push(listener);
  }

  write(bytes: Uint8Array, taken?: () => void): void {
    if (this.destroyed) return;
    this.writes.push({ bytes, digest: bytes.byteLength > SMALL_BYTES ? digestOf(bytes) : '', taken });
    this.takeNext();
  }

  cork(): void {}

  uncork(): void {}

  destroy(): void {
    if (this.destroyed) return;
    this.end();
    // What was written before is on its way; then comes the end.
    this.out.send(() => this.peer?.broken(null));
    this.process.post(() => queueMicrotask(() => this.emitClose()));
  }

  /** The connection is over, because the other end closed it or cannot be had. */
  broken(why: string | null): void {
    if (this.destroyed) return;
    this.process.post(() => {
      if (this.destroyed) return;
      this.end();
      if (why !== null) for (const listener of this.listeners.error) listener(new Error(why));
      this.emitClose();
    });
  }

  private died(): void {
    if (this.destroyed) return;
    this.end();
    this.closed = true;
    this.out.send(() => this.peer?.broken('read ECONNRESET'));
  }

  private end(): void {
    this.destroyed = true;
    this.taking?.cancel();
    this.taking = null;
    this.writes.length = 0;
  }

  private emitClose(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of this.listeners.close) listener();
  }

  private takeNext(): void {
    while (this.taking === null && !this.destroyed) {
      const [write] = this.writes;
      if (!write) return;
      if (write.bytes.byteLength <= SMALL_BYTES) {
        this.take(write);
        continue;
      }
      this.taking = this.net.options.time.after(write.bytes.byteLength / this.bytesPerMs(), () => {
        this.taking = null;
        if (digestOf(write.bytes) !== write.digest) this.onTorn(this.process);
        this.take(write);
        this.takeNext();
      });
    }
  }

  private take({ bytes, taken }: Write): void {
    this.writes.shift();
    const { time } = this.net.options;
    this.movedMs = time.nowMs;
    // `slice` of a Buffer would be a view, and the network would corrupt the sender's memory.
    const copy = new Uint8Array(bytes);
    this.out.send(() => {
      const { peer } = this;
      if (!peer || peer.destroyed) return;
      if (this.out.garbles) {
        const at = this.net.options.random.below(copy.byteLength);
        copy[at]! ^= 1 << this.net.options.random.below(8);
      }
      peer.process.post(() => peer.receive(copy));
    });
    if (taken) this.process.post(() => queueMicrotask(taken));
  }

  private receive(bytes: Uint8Array): void {
    this.movedMs = this.net.options.time.nowMs;
    for (let at = 0; at < bytes.byteLength && !this.destroyed; ) {
      const target = this.inlet!.target();
      const part = bytes.subarray(at, at + target.byteLength);
      target.set(part);
      at += part.byteLength;
      this.inlet!.advance(part.byteLength);
    }
  }
}
