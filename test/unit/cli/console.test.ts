import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openConsolePage, openerOf } from '../../../cli/console.js';

/** A coordinator that knows an operator's key and a user's. */
async function coordinator({ keys = true, page = '<div id="console"></div>' } = {}): Promise<string> {
  const server = createServer(({ url, headers: { authorization } }, response) => {
    const role = keys
      ? { 'Bearer operator-key': 'operator', 'Bearer user-key': 'user' }[authorization ?? '']
      : 'operator';
    const status = url === '/' ? 200 : role === undefined ? 401 : role === 'user' && url !== '/v1/fleet' ? 403 : 200;
    response.writeHead(status).end(url === '/' ? page : '{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function run(url: string, apiKey: string | null, json = false) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await openConsolePage({
    flags: { url, ...(json && { json: true }) },
    args: [],
    environment: apiKey === null ? {} : { SHOAL_API_KEY: apiKey },
    io: { out: (text) => out.push(text), err: (text) => err.push(text) },
  });
  return { code, out: out.join(''), err: err.join('') };
}

describe('shoal console', () => {
  it('prints the address alone on stdout, and what the key may do beside it', async () => {
    const url = await coordinator();
    const { code, out, err } = await run(url, 'user-key');
    expect([code, out]).toEqual([0, `${url}/\n`]);
    expect(err).toContain('is a user’s');
    expect(err).toContain('open the address in a browser');
    expect(out + err).not.toContain('user-key');
  });

  it.each([
    [null, true, 'no key'],
    ['operator-key', true, 'operator'],
    ['another-key', true, 'wrong key'],
    [null, false, 'open'],
  ] as const)('knows whose page it is: key %s, keys needed %s', async (apiKey, keys, standing) => {
    const url = await coordinator({ keys });
    expect(JSON.parse((await run(url, apiKey, true)).out)).toEqual({ url: `${url}/`, standing, opened: false });
  });

  it('says if there is no coordinator, or another server', async () => {
    await expect(run('http://127.0.0.1:1', null)).rejects.toThrow(/cannot reach a coordinator at http:\/\/127.0.0.1:1/);
    await expect(run(await coordinator({ page: 'hello' }), null)).rejects.toThrow(/no console at/);
  });

  it('opens a page only at a terminal with a desktop', () => {
    expect([
      openerOf('linux', { DISPLAY: ':0' }, true),
      openerOf('linux', { WAYLAND_DISPLAY: 'w' }, true),
      openerOf('darwin', {}, true),
      openerOf('linux', {}, true),
      openerOf('darwin', { DISPLAY: ':0' }, false),
    ]).toEqual(['xdg-open', 'xdg-open', 'open', null, null]);
  });
});
