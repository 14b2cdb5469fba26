import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Counter } from './code.js';
import { RuntimeWorld } from './world.js';

let world: RuntimeWorld;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  await world.node('plain');
  await world.node('beside', { worker: 'worker-2' });
});

afterEach(() => world.close());

describe('an actor near a prefix', () => {
  it('is created beside the worker that has the prefix', async () => {
    const asked: unknown[] = [];
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      asked.push(request.url, JSON.parse(body));
      response.end(JSON.stringify({ blocks: [], would_run_on: 'worker-2' }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    world.coordinatorUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { fleet } = await world.driver();
    for (let i = 0; i < 4; i++) await fleet.actor(Counter, { near: { prefix: 'You are' } });
    expect(new Set((await fleet.listActors()).map(({ node }) => node))).toEqual(new Set(['beside']));
    expect(asked.slice(0, 2)).toEqual(['/v1/cache/explain', { prompt: 'You are' }]);
    server.closeAllConnections();
    server.close();
  });

  it('is created anywhere if no coordinator tells', async () => {
    const { fleet } = await world.driver();
    const counter = await fleet.actor(Counter, { near: { prefix: 'You are' } });
    expect(await counter.add(1)).toBe(1);
  });
});
