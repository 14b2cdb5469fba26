import { afterEach, describe, expect, it, vi } from 'vitest';
import { COMMANDS } from '../../../src/resp/command-table.js';
import { type RespAccess, UNLIMITED } from '../../../src/resp/resp-access.js';
import { packCommand, type RespProbe, RespStation, type StationOptions } from './support/resp-station.js';

/** Clients that send more commands than a turn of the event loop has time for. */

const KEYED: RespAccess = {
  anonymous: () => null,
  pending: () => null,
  authenticate: async (_, password) => (password === 'the-key' ? { space: 'a', name: 'a' } : null),
  use: () => UNLIMITED,
};

describe('the commands of a turn of the event loop', () => {
  let station: RespStation;

  afterEach(() => station.close());

  async function open(options: StationOptions, clients: number): Promise<RespProbe[]> {
    station = await RespStation.open(options);
    return await Promise.all(Array.from({ length: clients }, () => station.client()));
  }

  /** The most calls of a command in one turn, until all clients have the last of `replies` replies each. */
  async function mostInTurn(command: string, clients: readonly RespProbe[], bytes: Buffer, replies: number) {
    const known = COMMANDS.get(command)!;
    let [inTurn, most] = [0, 0];
    const run = vi.spyOn(known, 'run').mockImplementation((session) => {
      most = Math.max(most, ++inTurn);
      session.reply.simple('DONE');
    });
    let counting = true;
    const turn = () => {
      inTurn = 0;
      if (counting) setImmediate(turn);
    };
    turn();
    for (const { socket } of clients) socket.write(bytes);
    await Promise.all(
      clients.map(async (client) => {
        for (let i = 0; i < replies; i++) expect(await client.reply()).toBe('DONE');
      }),
    );
    counting = false;
    run.mockRestore();
    return most;
  }

  it('have a limit over all clients, and all of them are answered', async () => {
    const clients = await open({}, 6);
    const bytes = Buffer.concat(Array.from({ length: 3_000 }, () => packCommand(['GET', 'k'])));
    const most = await mostInTurn('get', clients, bytes, 3_000);
    // The turns that this test counts may begin in the middle of those of the server.
    expect(most).toBeLessThan(2 * 1_300);
  });

  it('count those of lines too, and empty lines', async () => {
    const clients = await open({}, 4);
    const most = await mostInTurn('get', clients, Buffer.from('\r\n*0\r\nGET k\r\n'.repeat(2_000)), 2_000);
    expect(most).toBeLessThan(2 * 650);
  });

  it('are far fewer for clients that have not proved themselves', async () => {
    const clients = await open({ access: KEYED }, 4);
    const most = await mostInTurn('hello', clients, Buffer.from('HELLO\r\n'.repeat(2_000)), 2_000);
    expect(most).toBeLessThan(2 * 120);
  });
});

describe('a client that does not prove itself', () => {
  it.each(['PING\r\n', '\r\n', '*1\r\n$1\r\nx\r\n', '*0\r\n', 'AUTH wrong\r\n'])(
    'is disconnected after some %j, and the next one is served',
    async (text) => {
      const station = await RespStation.open({ access: KEYED });
      const client = await station.client();
      client.socket.write(text.repeat(20));
      client.socket.write('AUTH the-key\r\n');
      let reply = await client.reply();
      while (reply !== 'OK') reply = await client.reply();
      client.end();
      const flood = await station.client();
      flood.socket.write(text.repeat(5_000));
      await flood.closed();
      expect(flood.rest.split('\r\n').filter((line) => line.startsWith('-')).length).toBeLessThan(40);
      expect(await (await station.client()).one('AUTH', 'the-key')).toBe('OK');
      await station.close();
    },
  );
});
