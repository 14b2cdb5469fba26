import { once } from 'node:events';
import net from 'node:net';

/** One keep-alive connection of a client that costs next to nothing: it reads no more of an answer than its length or its end. */

const HEAD_END = Buffer.from('\r\n\r\n');
/** The last chunk of a stream. */
const LAST_CHUNK = '0\r\n\r\n';

export class HttpLane {
  private received: Buffer = Buffer.alloc(0);
  private answered: { resolve(answer: string): void; reject(error: Error): void } | null = null;

  private constructor(private readonly socket: net.Socket) {
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.take(bytes));
    socket.on('close', () => this.answered?.reject(new Error('the server closed the connection')));
  }

  static async dial(url: URL): Promise<HttpLane> {
    const socket = net.connect(Number(url.port), url.hostname);
    await once(socket, 'connect');
    return new HttpLane(socket);
  }

  /** Posts JSON. Resolves with the whole answer, head included. Rejects unless the status is 200. One request at a time. */
  post(path: string, body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.answered = { resolve, reject };
      const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n`;
      this.socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    });
  }

  close(): void {
    this.answered = null;
    this.socket.destroy();
  }

  private take(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    if (!this.complete()) return;
    const answer = this.received.toString('latin1');
    this.received = Buffer.alloc(0);
    if (answer.startsWith('HTTP/1.1 200')) this.answered?.resolve(answer);
    else this.answered?.reject(new Error(`the server answered ${answer}`));
  }

  private complete(): boolean {
    const end = this.received.indexOf(HEAD_END);
    if (end < 0) return false;
    const length = /content-length: (\d+)/i.exec(this.received.toString('latin1', 0, end))?.[1];
    if (length === undefined) return this.received.toString('latin1', this.received.length - 5) === LAST_CHUNK;
    return this.received.length >= end + HEAD_END.length + Number(length);
  }
}
