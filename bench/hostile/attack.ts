import { connect, type Socket } from 'node:net';

/** Attacks on a fleet by a client that costs little itself: its bytes are made before it begins. */

/** The target of an attack. */
export interface Target {
  readonly httpHost: string;
  readonly httpPort: number;
  /** Host and port of a worker for its peers. */
  readonly peerHost: string;
  readonly peerPort: number;
  /** The longest text, in bytes, that a coordinator does not refuse by its length alone. */
  readonly textBytes: number;
}

export interface Attack {
  readonly name: string;
  /** Makes the bytes. The result begins the attack, which continues until the process ends. */
  prepare(target: Target): () => void;
}

const MiB = 2 ** 20;
/** Pause between two requests of one attacker, so that the attack is a trickle and not a flood. */
const PAUSE_MS = 50;

export const ATTACKS: readonly Attack[] = [
  {
    name: 'pipelined metrics',
    prepare: (target) => {
      const bytes = Buffer.from(head(target, 'GET', '/metrics', 0).repeat(200));
      return () => sendOnMany(target, 50, [bytes]);
    },
  },
  {
    name: 'bodies to unknown routes',
    prepare: (target) => {
      const body = Buffer.alloc(8 * MiB, ' ');
      return () => {
        repeat(target, 4, [Buffer.from(head(target, 'POST', '/nope', body.length)), body]);
        repeat(target, 4, [Buffer.from(head(target, 'PUT', '/v1/completions', body.length)), body]);
      };
    },
  },
  {
    name: 'bodies in chunks of one byte',
    prepare: (target) => {
      const chunks = Buffer.from('1\r\na\r\n'.repeat(50_000));
      const start = (method: string, path: string) => Buffer.from(chunkedHead(target, method, path));
      return () => {
        for (const [method, path] of [
          ['POST', '/nope'],
          ['GET', '/health/live'],
          ['POST', '/v1/completions'],
        ] as const)
          sendOnMany(target, 4, [start(method, path), chunks]);
      };
    },
  },
  {
    name: 'wide and deep JSON',
    prepare: (target) => {
      const wide = Buffer.from(`{"prompt":"x","x":{${Array.from({ length: 500_000 }, (_, i) => `"k${i}":1`).join()}}}`);
      const deep = Buffer.from(`{"prompt":"x","x":${'['.repeat(3 * MiB)}${']'.repeat(3 * MiB)}}`);
      const request = (body: Buffer) => [Buffer.from(head(target, 'POST', '/v1/completions', body.length)), body];
      return () => {
        for (const body of [wide, deep]) repeat(target, 2, request(body));
      };
    },
  },
  {
    name: 'bodies of wrong parts',
    prepare: (target) => {
      const content = (part: object) => Array.from({ length: 4_080 }, () => part);
      const messages = (part: object) => Array.from({ length: 8 }, () => ({ role: 'user', content: content(part) }));
      return () => {
        for (const part of [{}, { type: 'z' }]) {
          postAll(target, '/v1/chat/completions', [{ messages: messages(part) }]);
          postAll(target, '/v1/responses', [{ input: messages(part) }]);
          postAll(target, '/v1/messages', [{ max_tokens: 1, messages: messages(part) }]);
        }
      };
    },
  },
  {
    name: 'large valid bodies',
    prepare: (target) => {
      const table = (members: number) => Object.fromEntries(Array.from({ length: members }, (_, i) => [`k${i}`, i]));
      const tables = Array.from({ length: 15 }, () => table(4_000));
      const ids = Array.from({ length: 2 ** 19 - 64 }, (_, i) => i % 50);
      return () =>
        postAll(target, '/v1/completions', [
          { prompt: ids },
          { prompt: 'x', max_tokens: 1, unknown: table(60_000) },
          { prompt: 'x', max_tokens: 1, unknown: { ids: ids.slice(0, 450_000), tables } },
        ]);
    },
  },
  textAttack('texts of blanks', ({ textBytes }) => [
    { prompt: ' '.repeat(MiB) },
    { prompt: ' '.repeat(textBytes / 10) },
  ]),
  textAttack('texts of prose', ({ textBytes }) => [
    { prompt: 'The quick brown fox jumps. '.repeat(textBytes / 27) },
    { prompt: 'a1'.repeat(textBytes / 20) },
  ]),
  textAttack('chats with special tokens', ({ textBytes }) => [
    { messages: [{ role: 'user', content: '<|end|><|en'.repeat(textBytes / 11) }] },
    { messages: Array.from({ length: 4_000 }, () => ({ role: 'user', content: '<|end|>'.repeat(20) })) },
  ]),
  {
    name: 'batches of prompts',
    prepare: (target) => {
      const prompts = Array.from({ length: 64 }, () => 'word '.repeat(24_000));
      // The last prompt is wrong in one, and the token to stop at in the other, which can be known only once all texts are tokens.
      const bodies = [{ prompt: [...prompts.slice(1), 7] }, { prompt: prompts, stop_token_ids: [2 ** 24] }];
      return () => postAll(target, '/v1/completions', bodies);
    },
  },
  {
    name: 'echo, choices and stop strings',
    prepare: (target) => {
      const stop = Array.from({ length: 64 }, (_, i) => `${'ab'.repeat(100)}${i}`);
      const fields = { max_tokens: 64, ignore_eos: true, stop, echo: true };
      const bodies = [
        { ...fields, prompt: 'word '.repeat(100), n: 32 },
        { ...fields, prompt: 'word '.repeat(2_000), n: 4, logprobs: 5 },
      ];
      return () => postAll(target, '/v1/completions', bodies);
    },
  },
  {
    name: 'strangers on the peer port',
    prepare: ({ peerHost, peerPort }) => {
      return () => {
        for (let i = 0; i < 1_100; i++) {
          const socket = open(peerHost, peerPort);
          setInterval(() => socket.writable && socket.write('x'), 500);
        }
      };
    },
  },
  {
    name: 'idle connections',
    prepare: (target) => () => {
      for (let i = 0; i < 2_000; i++) open(target.httpHost, target.httpPort);
    },
  },
  {
    name: 'slow clients',
    prepare: (target) => {
      const request = Buffer.from(head(target, 'POST', '/v1/completions', 100_000));
      const stream = JSON.stringify({ prompt: 'x', max_tokens: 2_000, ignore_eos: true, stream: true, n: 8 });
      const unread = Buffer.from(head(target, 'POST', '/v1/completions', stream.length) + stream);
      return () => {
        for (let i = 0; i < 200; i++) {
          const socket = open(target.httpHost, target.httpPort);
          let sent = 0;
          setInterval(() => socket.writable && socket.write(request.subarray(sent, ++sent)), 250);
        }
        // One that asks for answers, and reads none.
        const deaf = open(target.httpHost, target.httpPort);
        deaf.pause();
        deaf.write(unread);
      };
    },
  },
];

/** An attack by texts, through a route that converts them and computes nothing. */
function textAttack(name: string, bodies: (target: Target) => readonly object[]): Attack {
  return {
    name,
    prepare: (target) => {
      const made = bodies(target);
      return () => postAll(target, '/tokenize', made);
    },
  };
}

/** Posts each body repeatedly, on separate connections. */
function postAll(target: Target, path: string, bodies: readonly object[]): void {
  for (const value of bodies) {
    const body = Buffer.from(JSON.stringify(value));
    repeat(target, 2, [Buffer.from(head(target, 'POST', path, body.length)), body]);
  }
}

function head({ httpHost, httpPort }: Target, method: string, path: string, length: number): string {
  const type = length > 0 ? `content-type: application/json\r\ncontent-length: ${length}\r\n` : '';
  return `${method} ${path} HTTP/1.1\r\nhost: ${httpHost}:${httpPort}\r\n${type}\r\n`;
}

function chunkedHead({ httpHost, httpPort }: Target, method: string, path: string): string {
  const headers = `host: ${httpHost}:${httpPort}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n`;
  return `${method} ${path} HTTP/1.1\r\n${headers}\r\n`;
}

/** Sends the bytes on each of `count` connections, and opens a connection again when it closes. */
function sendOnMany(target: Target, count: number, bytes: readonly Buffer[]): void {
  for (let i = 0; i < count; i++) sendOnce(target, bytes, () => sendOnMany(target, 1, bytes));
}

/** Sends the bytes, waits for the beginning of an answer, and does it again. */
function repeat(target: Target, count: number, bytes: readonly Buffer[]): void {
  for (let i = 0; i < count; i++) {
    const socket = sendOnce(target, bytes, () => repeat(target, 1, bytes));
    socket.once('data', () => socket.destroy());
  }
}

function sendOnce({ httpHost, httpPort }: Target, bytes: readonly Buffer[], onClose: () => void): Socket {
  const socket = open(httpHost, httpPort);
  for (const part of bytes) socket.write(part);
  socket.once('close', () => setTimeout(onClose, PAUSE_MS));
  return socket;
}

function open(host: string, port: number): Socket {
  const socket = connect(port, host);
  socket.on('error', () => {});
  socket.resume();
  return socket;
}
