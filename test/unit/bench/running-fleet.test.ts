import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { streamed } from '../../../bench/first-token.js';
import { RunningFleet } from '../../../bench/running-fleet.js';
import { Unavailable } from '../../../src/errors.js';

describe('a running fleet', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Writes a script that stands in for the built command. */
  async function cli(text: string): Promise<string> {
    const path = join(folder, 'cli.mjs');
    await writeFile(path, text);
    return path;
  }

  it('is up once it reports that it is ready, and is stopped as by Ctrl-C', async () => {
    const ready = { ready: true, url: 'http://127.0.0.1:1', nats: 'n', pid: 1, workers: [] };
    const path = await cli(
      `process.on('SIGINT', () => process.exit(7));
       setInterval(() => {}, 1000);
       console.log(JSON.stringify({ ...${JSON.stringify(ready)}, nats: process.argv.slice(2).join(' ') + ' ' + process.env.OWN }));`,
    );
    const fleet = await RunningFleet.up(path, ['--workers', '2'], { OWN: 'yes' });
    expect(fleet.url).toBe(ready.url);
    expect(fleet.ready.nats).toBe('up --json --port 0 --workers 2 yes');
    expect(await fleet.stop()).toBe(7);
    expect(await fleet.stop()).toBe(7);
  });

  it.each([
    ['exits before it is ready', `console.error('no model'); process.exitCode = 3;`, 'exited with 3'],
    ['prints something else', `console.log('hello'); setInterval(() => {}, 1000);`, 'printed hello'],
  ])('is Unavailable if it %s', async (_, text, message) => {
    const up = RunningFleet.up(await cli(text), []);
    await expect(up).rejects.toBeInstanceOf(Unavailable);
    await expect(up).rejects.toThrow(message);
  });
});

describe('a stream as a client sees it', () => {
  let server: Server;
  let answer: (body: Record<string, unknown>) => { status?: number; parts: string[] };
  let asked: { body: Record<string, unknown>; worker: unknown };
  let fleet: RunningFleet;

  beforeEach(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
        asked = { body, worker: request.headers['x-shoal-worker'] };
        const { status = 200, parts } = answer(body);
        response.writeHead(status, { 'content-type': 'text/event-stream' });
        for (const part of parts) response.write(part);
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const post = RunningFleet.prototype.post;
    fleet = Object.assign(Object.create({ post }) as RunningFleet, { url });
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const cached = { local: 1, remote: 2, computed: 3 };
  const text = (finish: string | null = null) =>
    `data: ${JSON.stringify({ choices: [{ text: 'a', finish_reason: finish }] })}\n\n`;
  const last = `data: ${JSON.stringify({ choices: [{ text: '', finish_reason: 'length' }] })}\n\n`;
  const usage = `data: ${JSON.stringify({ choices: [], usage: { completion_tokens: 2 }, shoal: { worker: 'w', cached } })}\n\n`;

  it('has times and usage, however it is split into packets', async () => {
    const whole = `${text()}${text('length')}${last}${usage}data: [DONE]\n\n`;
    answer = () => ({ parts: [whole.slice(0, 10), whole.slice(10, 75), whole.slice(75)] });
    const seen = await streamed(fleet, [1, 2, 3], 2, 'w');
    expect(seen).toMatchObject({ completionTokens: 2, worker: 'w', cached });
    expect(seen.chunkMs.length).toBe(2);
    expect(seen.ttftMs).toBe(seen.chunkMs[0]);
    expect(asked.worker).toBe('w');
    expect(asked.body).toMatchObject({ prompt: [1, 2, 3], max_tokens: 2, stream: true });
  });

  it.each([
    [
      'an error in the stream',
      { parts: [text(), `data: ${JSON.stringify({ choices: [], error: { message: 'gone' } })}\n\n`] },
      'gone',
    ],
    ['a status', { status: 503, parts: ['nobody serves'] }, '503: nobody serves'],
    ['no usage', { parts: [text(), 'data: [DONE]\n\n'] }, 'without its usage'],
    ['no text', { parts: [usage] }, 'without its usage'],
  ])('fails with %s', async (_, given, message) => {
    answer = () => given;
    await expect(streamed(fleet, [1], 2, 'w')).rejects.toThrow(message);
  });
});
