import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Unavailable } from '../../../../src/errors.js';
import { FLEET_TLS } from '../../peer/support/tls.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-uds-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'api');
}

function ask(socketPath: string, path: string, body: object | null = null): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', host: 'localhost' };
    const asked = request({ socketPath, path, headers, method: body === null ? 'GET' : 'POST' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode!, text }));
    });
    asked.on('error', reject).end(body === null ? undefined : JSON.stringify(body));
  });
}

it('the API answers on a Unix socket of its user as on its port, to several clients at once', async () => {
  const path = socketPath();
  const { fleet, url } = await testServer({ socketPath: path });
  fleet.script = () => saying(idsOf(' yes'));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect((await fetch(`${url}/version`)).status).toBe(200);
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => ask(path, '/v1/completions', { prompt: 'the', stream: true })),
  );
  for (const { status, text } of answers) expect([status, text.endsWith('data: [DONE]\n\n')]).toEqual([200, true]);
  expect((await ask(path, '/nowhere')).status).toBe(404);
});

it('a socket beside a port with TLS speaks plain HTTP, and what is no HTTP gets a 400', async () => {
  const path = socketPath();
  await testServer({ socketPath: path, tls: { ...FLEET_TLS, clientCa: null } });
  expect((await ask(path, '/version')).status).toBe(200);
  const raw = connect(path);
  raw.end('nonsense\r\n\r\n');
  let text = '';
  for await (const part of raw) text += part;
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
});

it('the path is free again after the server has closed, and refused while another has it or is a file', async () => {
  const path = socketPath();
  const first = await testServer({ socketPath: path });
  await expect(testServer({ socketPath: path })).rejects.toThrow(/--uds: .*process \d+/);
  await first.close();
  await (await testServer({ socketPath: path })).close();
  writeFileSync(path, 'mine');
  await expect(testServer({ socketPath: path })).rejects.toBeInstanceOf(Unavailable);
});
