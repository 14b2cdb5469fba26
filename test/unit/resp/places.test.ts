import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type RespAccess, UNLIMITED } from '../../../src/resp/resp-access.js';
import { FLEET_TLS } from '../peer/support/tls.js';
import { type RespProbe, RespStation, type StationOptions } from './support/resp-station.js';

/** Who gets a place where too many clients of the Redis protocol come. */

const FULL = '-ERR max number of clients reached';
const STRANGERS = { connections: 3, perAddress: 3, perSecond: 1_000, burst: 1_000 };
const access: RespAccess = {
  anonymous: () => null,
  pending: () => null,
  authenticate: async (_, password) => (password.startsWith('key-of-') ? { space: password, name: password } : null),
  use: () => UNLIMITED,
};

let station: RespStation;
const opened: { destroy(): void }[] = [];

async function open(options: StationOptions): Promise<void> {
  station = await RespStation.open({ access, ...options });
}

async function client(): Promise<RespProbe> {
  const probe = await station.client();
  opened.push(probe.socket);
  return probe;
}

async function proved(tenant: string): Promise<RespProbe> {
  const probe = await client();
  expect(await probe.one('AUTH', `key-of-${tenant}`)).toBe('OK');
  return probe;
}

afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await station.close();
});

describe('clients that have not proved themselves', () => {
  it('give way to newer ones, and take no place of those that have', async () => {
    await open({ maxClients: 12, strangers: STRANGERS });
    const before = await proved('a');
    const strangers: RespProbe[] = [];
    for (let i = 0; i < 40; i++) {
      const stranger = await client();
      // The answer says that the server has accepted the connection.
      await stranger.one('GET', 'k');
      strangers.push(stranger);
    }
    await Promise.all(strangers.slice(0, 37).map((stranger) => stranger.closed()));
    const after = await proved('b');
    expect(await before.one('PING')).toBe('PONG');
    expect(await after.one('PING')).toBe('PONG');
    expect(strangers.slice(38).map(({ over }) => over)).toEqual([false, false]);
  });

  it('are refused if too many come within a second', async () => {
    await open({ strangers: { ...STRANGERS, perSecond: 0, burst: 2 } });
    await (await client()).one('PING');
    await (await client()).one('PING');
    expect(await (await client()).reply()).toBe(FULL);
  });

  it('are counted while they shake hands for TLS', async () => {
    const { key, cert } = FLEET_TLS;
    await open({ tls: { key, cert }, strangers: STRANGERS });
    const dial = async () => {
      const socket = net.connect(station.port, '127.0.0.1').on('error', () => {});
      opened.push(socket);
      await once(socket, 'connect');
      return socket;
    };
    const silent = await dial();
    const gone = once(silent, 'close');
    for (let i = 0; i < STRANGERS.perAddress; i++) await dial();
    await gone;
  });
});

describe('a tenant with all places', () => {
  it('loses the one that has been idle longest to a client of another tenant, and none to its own', async () => {
    await open({ maxClients: 4, strangers: STRANGERS });
    const clients: RespProbe[] = [];
    for (let i = 0; i < 4; i++) clients.push(await proved('a'));
    await clients[0]!.one('PING');
    const fifth = await proved('a');
    expect(await fifth.reply()).toBe(FULL);
    const other = await proved('b');
    expect(await other.one('PING')).toBe('PONG');
    await clients[1]!.closed();
    for (const i of [0, 2, 3]) expect(await clients[i]!.one('PING')).toBe('PONG');
  });
});
