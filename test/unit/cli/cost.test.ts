import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { run } from '../../../cli/program.js';

async function cost(...args: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const add = (text: string) => {
    out += text;
  };
  const code = await run(['cost', ...args], { environment: {}, io: { out: add, err: add } });
  return { code, out };
}

async function serve(text: string): Promise<string> {
  const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('shoal cost says what sharing saves in a fleet that runs, from the metrics of a coordinator', async () => {
  const tokens = 'shoal_prompt_tokens_total{source="local"} 2000\nshoal_prompt_tokens_total{source="remote"} 8000\n';
  const { code, out } = await cost(await serve(`process_start_time_seconds 1000\n${tokens}`));
  expect(code).toBe(0);
  expect(out).toContain('10,000 prompt tokens');
  expect(out).toContain('hits: 100.0 % shared, 20.0 % if each worker keeps its own');
  expect(out).toContain('Sharing pays.');
});

it('shoal cost names an address without such metrics', async () => {
  const { code, out } = await cost(await serve('up 1\n'));
  expect(code).toBe(1);
  expect(out).toContain('no metrics of a coordinator');
});
