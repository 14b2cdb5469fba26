import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

export interface RawAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** A connection to a server, closed when the test ends. `from` is the local address. */
export function connectTo(url: string, from = '127.0.0.1'): Socket {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress: from });
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** Sends a request byte for byte, with `connection: close` added, and resolves with its answer. */
export async function send(url: string, first: string, headers: readonly string[] = [], body = ''): Promise<RawAnswer> {
  const socket = connectTo(url);
  socket.write([`${first} HTTP/1.1`, ...headers, 'connection: close', '', body].join('\r\n'));
  return answerOf(await text(socket));
}

export function answerOf(said: string): RawAnswer {
  const end = said.indexOf('\r\n\r\n');
  const [first = '', ...lines] = said.slice(0, end).split('\r\n');
  const pairs = lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]);
  return {
    status: Number(first.split(' ')[1]),
    headers: new Map(pairs.map(([name, value]) => [name.toLowerCase(), value])),
    body: said.slice(end + 4),
  };
}
