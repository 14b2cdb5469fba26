import { once } from 'node:events';
import type net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { REPLY_FREE_BYTES, ReplyMemory, type ReplyShare } from '../../../src/resp/reply-memory.js';
import { FLEET_TLS } from '../peer/support/tls.js';
import { packCommand, type RespProbe, RespStation, type StationOptions } from './support/resp-station.js';

/** The memory of replies that clients do not take. */

const MiB = 2 ** 20;

describe('the memory of all replies', () => {
  /** Takes what fits, in steps. Returns the bytes. */
  function fill(share: ReplyShare, tenant: string | null): number {
    let bytes = 0;
    for (const step = MiB / 4; share.fits(bytes + step, bytes, tenant); ) {
      bytes += step;
      share.set(bytes, tenant);
    }
    return bytes;
  }

  it('gives a tenant as much as it leaves to others, and each connection a little without asking', () => {
    const memory = new ReplyMemory(16 * MiB);
    const own = [memory.share(), memory.share(), memory.share()].reduce((sum, share) => sum + fill(share, 'a'), 0);
    expect(own / MiB).toBeCloseTo(8, 0);
    expect(fill(memory.share(), 'b') / MiB).toBeCloseTo(4, 0);
    for (let i = 0; i < 100; i++) fill(memory.share(), null);
    expect(memory.usedBytes).toBeLessThanOrEqual(16 * MiB);
    expect(memory.share().fits(REPLY_FREE_BYTES, 0, 'a')).toBe(true);
    expect(memory.share().fits(MiB, 0, 'a')).toBe(false);
  });

  it('tells those that wait when bytes are free, and lets one that asks for no more go on once its client has taken most', () => {
    const memory = new ReplyMemory(MiB);
    const [first, second] = [memory.share(), memory.share()];
    first.set(MiB, 'a');
    let woken = 0;
    second.onFreed(() => woken++);
    expect(first.fits(MiB, MiB, 'a')).toBe(false);
    expect(first.fits(MiB, REPLY_FREE_BYTES, 'a')).toBe(true);
    expect(second.fits(MiB / 4, 0, 'b')).toBe(false);
    first.set(0, 'a');
    first.set(MiB / 2, 'a');
    first.set(0, 'a');
    expect(woken).toBe(1);
    expect(second.fits(MiB / 4, 0, 'b')).toBe(true);
    expect(memory.usedBytes).toBe(0);
  });
});

describe('clients that do not take their replies', () => {
  let station: RespStation;
  afterEach(() => station.close());
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  /** Clients that send a command again and again, and read nothing, until the memory of replies is in use and another client was answered often. */
  async function stalled(options: StationOptions, clients: number, command: string[], times: number) {
    const limit = options.replyBytes!;
    station = await RespStation.open({ budgetBytes: 128 * MiB, ...options });
    const other = await station.client();
    expect(await other.one('SET', 'v', 'x'.repeat(8_000))).toBe('OK');
    expect(await other.one('SET', 'large', 'y'.repeat(16 * MiB))).toBe('OK');
    const probes = await Promise.all(Array.from({ length: clients }, () => station.client()));
    const part = `*${command.length}\r\n${command.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
    for (const probe of probes) {
      probe.socket.pause();
      probe.socket.write(part.repeat(times));
    }
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, station.server.replyBytes);
    }, 0);
    while (most < limit / 4) await turn();
    for (let i = 0; i < 200; i++) {
      expect(await other.one('PING')).toBe('PONG');
      most = Math.max(most, station.server.replyBytes);
    }
    return { probes, most: () => most, end: () => clearInterval(watch) };
  }

  /** Lets the clients read. */
  async function taken(probes: readonly RespProbe[], times: number, isRight: (reply: string) => boolean) {
    await Promise.all(
      probes.map(async (probe) => {
        probe.socket.resume();
        for (let i = 0; i < times; i++) expect(isRight(String(await probe.reply()))).toBe(true);
        probe.end();
      }),
    );
    while (station.server.replyBytes > 0) await turn();
  }

  /** Lets a client read so many bytes, which it does not keep. */
  function bytesFrom({ socket }: { readonly socket: net.Socket }, bytes: number): Promise<void> {
    let left = bytes;
    socket.removeAllListeners('data');
    return new Promise((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        left -= chunk.byteLength;
        if (left === 0) resolve();
      });
      socket.resume();
    });
  }

  it('have no more memory together than the limit, though each sends thousands of commands at once, and lose no reply', async () => {
    const limit = 2 * MiB;
    const { probes, most, end } = await stalled({ replyBytes: limit }, 6, ['GET', 'v'], 2_000);
    await taken(probes, 2_000, (reply) => reply.length === 8_000);
    end();
    expect(most()).toBeLessThanOrEqual(limit);
  });

  it('have no more with parts of large values from other homes', async () => {
    const limit = 4 * MiB;
    const options = { replyBytes: limit, elsewhere: true };
    const range = ['GETRANGE', 'large', '1', String(16 * MiB)];
    const { probes, most, end } = await stalled(options, 8, range, 1);
    // `$16777215`, the value, and two ends of lines.
    await Promise.all(probes.map((probe) => bytesFrom(probe, 16 * MiB - 1 + 13)));
    while (station.server.replyBytes > 0) await turn();
    end();
    expect(most()).toBeLessThanOrEqual(limit);
  });

  it('have no more with values of this process that are encrypted, and so copied', async () => {
    const { key, cert } = FLEET_TLS;
    const limit = 2 * MiB;
    station = await RespStation.open({ budgetBytes: 128 * MiB, replyBytes: limit, tls: { key, cert } });
    const connect = async () => {
      const socket = tls.connect(station.port, '127.0.0.1', { rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      return socket;
    };
    const value = packCommand(['SET', 'large', 'y'.repeat(16 * MiB)]);
    const first = await connect();
    first.write(value);
    await bytesFrom({ socket: first }, '+OK\r\n'.length);
    const sockets = await Promise.all(Array.from({ length: 6 }, connect));
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, station.server.replyBytes);
    }, 0);
    for (const socket of sockets) {
      socket.pause();
      socket.write(packCommand(['GET', 'large']));
    }
    while (most < limit / 4) await turn();
    await Promise.all(sockets.map((socket) => bytesFrom({ socket }, 16 * MiB + 13)));
    clearInterval(watch);
    expect(most).toBeLessThanOrEqual(limit);
    for (const socket of [first, ...sockets]) socket.destroy();
    while (station.server.replyBytes > 0) await turn();
  });

  it('get no list of keys that has no room, and are sent to SCAN', async () => {
    station = await RespStation.open({ replyBytes: 64 * 1024 });
    const client = await station.client();
    const keys = Array.from({ length: 400 }, (_, i) => `${i} ${'k'.repeat(400)}`);
    await client.call(...keys.map((key) => ['SET', key, 'v']));
    expect(await client.one('KEYS', '*')).toMatch(/^-OOM no memory for all keys .* SCAN$/);
    expect(await client.one('KEYS', '1*')).toHaveLength(111);
    expect(await client.one('PING')).toBe('PONG');
    expect(station.server.replyBytes).toBe(0);
  });
});
