import { describe, expect, it } from 'vitest';
import { HTTP_CLOSE_ERROR_MS } from '../../../coordinator/http/server.js';
import { SimulatedClock } from '../../../src/clock.js';
import { aborted, saying, sayingForever, started } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

describe('a closing server', () => {
  it('lets running streams finish', async () => {
    const server = await testServer({ closeGraceMs: 60_000 });
    let goOn = () => {};
    const told = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    server.fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      await told;
      yield* saying(idsOf(' harbor'));
    };
    const response = await server.post('/v1/completions', { prompt: 'x', stream: true });
    const closed = server.close();
    goOn();
    const text = await response.text();
    await closed;
    expect(text).toContain(' harbor');
    expect(text).toContain('[DONE]');
    await expect(fetch(`${server.url}/version`)).rejects.toThrow();
  });

  it('ends streams with an error after the grace time', async () => {
    const server = await testServer({ closeGraceMs: 0 });
    server.fleet.script = (_, signal) => sayingForever(idsOf(' the'), signal);
    const response = await server.post('/v1/completions', { prompt: 'x', stream: true });
    await server.close();
    await aborted(server.fleet.asked[0]!.signal);
    const text = await response.text();
    expect(text).toContain('"type":"service_unavailable_error"');
    expect(text).not.toContain('[DONE]');
  });

  it('disconnects streams that do not end after that', async () => {
    const clock = new SimulatedClock();
    const server = await testServer({ closeGraceMs: 1_000 }, clock);
    server.fleet.script = async function* () {
      yield started();
      yield { type: 'tokens', ids: idsOf(' the') };
      await new Promise(() => {});
    };
    const response = await server.post('/v1/completions', { prompt: 'x', stream: true });
    const closed = server.close();
    await clock.advance(1_000 + HTTP_CLOSE_ERROR_MS);
    await closed;
    await expect(response.text()).rejects.toThrow();
  });

  it('closes once, and at once if idle', async () => {
    const server = await testServer({ closeGraceMs: 60_000 });
    await fetch(`${server.url}/version`);
    await Promise.all([server.close(), server.close()]);
  });
});
