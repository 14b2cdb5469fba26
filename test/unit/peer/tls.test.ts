import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../../src/errors.js';
import { blocksOf, MemoryHost } from './support/host.js';
import { Pair } from './support/pair.js';
import { MemorySink } from './support/sink.js';
import { FLEET_TLS, OTHER_TLS } from './support/tls.js';

const NEVER = new AbortController().signal;
let pair: Pair;
afterEach(() => pair.close());

describe('peers with TLS', () => {
  it('fetch and push over TCP', async () => {
    pair = await Pair.open({ tls: FLEET_TLS });
    const client = pair.client({ tls: FLEET_TLS });
    const blocks = blocksOf('a', 8);
    pair.host.add(blocks.slice(0, 4));
    const sink = new MemorySink();
    const keys = blocks.slice(0, 4).map(({ block }) => block.key);
    await client.fetch(pair.target('tcp'), keys, sink, NEVER);
    for (const { block, bytes } of blocks.slice(0, 4)) {
      expect(Buffer.compare(sink.places.get(block.key)!, bytes)).toBe(0);
    }
    const own = new MemoryHost();
    const offer = own.offer(blocks.slice(4));
    expect((await client.push(pair.target('tcp'), ...offer, NEVER)).size).toBe(4);
    for (const { block, bytes } of blocks) {
      expect(Buffer.compare(pair.host.blocks.get(block.key)!.bytes, bytes)).toBe(0);
    }
    expect(pair.server.connections).toBe(1);
  });

  it('speak without it over Unix sockets', async () => {
    pair = await Pair.open({ tls: FLEET_TLS });
    expect(await pair.client().ping(pair.target('unix'), 5_000)).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['of another fleet', OTHER_TLS, FLEET_TLS],
    ['to another fleet', FLEET_TLS, OTHER_TLS],
    ['with another certificate than the authority it trusts has signed', { ...OTHER_TLS, ca: FLEET_TLS.ca }, FLEET_TLS],
  ])('turn away one %s', async (_, own, theirs) => {
    pair = await Pair.open({ tls: theirs });
    const client = pair.client({ tls: own });
    await expect(client.ping(pair.target('tcp'), 5_000)).rejects.toThrow(Unavailable);
    expect(await pair.client({ tls: theirs }).ping(pair.target('tcp'), 5_000)).toBeGreaterThanOrEqual(0);
  });

  it('turn away one that comes without', async () => {
    pair = await Pair.open({ tls: FLEET_TLS });
    await expect(pair.client().ping(pair.target('tcp'), 5_000)).rejects.toThrow(Unavailable);
    const socket = net.connect(pair.addresses.tcpPort!, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
  });
});
