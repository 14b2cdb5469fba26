import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Visitor {
  readonly id: string;
  readonly pid: number;
  /** Resolves when the process has ended, in any way. */
  readonly gone: Promise<void>;
}

/** A Unix socket that stub processes stay connected to. The system closes the connection when a process ends. */
export class Door {
  readonly path: string;
  private readonly folder = mkdtempSync(join(tmpdir(), 'shoal-door-'));
  private readonly visitors: Visitor[] = [];
  private readonly waiting: ((visitor: Visitor) => void)[] = [];
  private readonly server: Server;
  private readonly all: Visitor[] = [];

  private constructor() {
    this.path = join(this.folder, 'door.sock');
    this.server = createServer((socket) => this.enter(socket));
  }

  static async open(): Promise<Door> {
    const door = new Door();
    await new Promise<void>((resolve) => door.server.listen(door.path, resolve));
    return door;
  }

  /** The next process that connects. */
  next(): Promise<Visitor> {
    const visitor = this.visitors.shift();
    return visitor ? Promise.resolve(visitor) : new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Resolves when every process that connected has ended. */
  async empty(): Promise<void> {
    await Promise.all(this.all.map((visitor) => visitor.gone));
  }

  /** Kills the processes that are still running. */
  async close(): Promise<void> {
    for (const { pid } of this.all) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // The process has ended already.
      }
    }
    await this.empty();
    this.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private enter(socket: Socket): void {
    const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    createInterface({ input: socket }).once('line', (line) => {
      const [id = '', pid = '0'] = line.split(' ');
      const visitor = { id, pid: Number(pid), gone };
      this.all.push(visitor);
      const waiter = this.waiting.shift();
      if (waiter) waiter(visitor);
      else this.visitors.push(visitor);
    });
  }
}
