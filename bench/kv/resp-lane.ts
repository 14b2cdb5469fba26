import { once } from 'node:events';
import net from 'node:net';

/** One connection of a Redis client that costs next to nothing: of a reply, it counts the bytes. */

const RECEIVE_BYTES = 2 ** 20;
const MINUS = 45;
const OK_BYTES = '+OK\r\n'.length;

export type RespTarget = { readonly host: string; readonly port: number } | { readonly path: string };

interface Awaited {
  missing: number;
  begun: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class RespLane {
  private awaited: Awaited | null = null;

  private constructor(private readonly socket: net.Socket) {
    socket.on('error', (error) => this.awaited?.reject(error));
    socket.on('close', () => this.awaited?.reject(new Error('the server closed the connection')));
  }

  static async dial(target: RespTarget): Promise<RespLane> {
    const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
    let lane: RespLane | null = null;
    const callback = (bytes: number) => {
      lane?.took(bytes, buffer);
      return true;
    };
    const options: net.NetConnectOpts = { ...target, onread: { buffer, callback } };
    const socket = net.connect(options);
    await once(socket, 'connect');
    socket.setNoDelay(true);
    lane = new RespLane(socket);
    return lane;
  }

  /** Resolves when the value is acknowledged. */
  set(key: string, value: Buffer): Promise<void> {
    return this.send(
      [`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.byteLength}\r\n`, value, '\r\n'],
      OK_BYTES,
    );
  }

  /** Resolves when a value of this many bytes has come. */
  get(key: string, bytes: number): Promise<void> {
    const reply = `$${bytes}\r\n`.length + bytes + 2;
    return this.send([`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`], reply);
  }

  close(): void {
    this.awaited = null;
    this.socket.destroy();
  }

  private send(parts: readonly (string | Buffer)[], replyBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.awaited = { missing: replyBytes, begun: false, resolve, reject };
      if (parts.length > 1) this.socket.cork();
      for (const part of parts) this.socket.write(part);
      if (parts.length > 1) this.socket.uncork();
    });
  }

  private took(bytes: number, buffer: Buffer): void {
    const { awaited } = this;
    if (awaited === null) return;
    awaited.missing -= bytes;
    const isError = !awaited.begun && buffer[0] === MINUS;
    awaited.begun = true;
    if (!isError && awaited.missing > 0) return;
    this.awaited = null;
    if (isError || awaited.missing < 0)
      awaited.reject(new Error(`the server answered ${buffer.toString('latin1', 0, Math.min(bytes, 200))}`));
    else awaited.resolve();
  }
}
