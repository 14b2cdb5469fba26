import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { Refused, type ShoalError } from '../../../src/errors.js';
import { FRAME_HEADER_BYTES } from '../../../src/limits.js';
import type { Connection, ConnectionOwner } from '../../../src/peer/wire/connection.js';
import { checkLengths, type Prelude } from '../../../src/peer/wire/frame.js';
import { type Dialler, greetServer } from '../../../src/peer/wire/greeting.js';
import { ClientHandshake, type PeerIdentity, type Purpose } from '../../../src/peer/wire/handshake.js';
import { dial } from '../../../src/peer/wire/socket.js';
import { BLOCK_BYTES, blocksOf } from './support/host.js';
import { NotingObserver } from './support/observer.js';
import { ALICE, BOB, Pair, SECRET } from './support/pair.js';
import { MemorySink } from './support/sink.js';
import { until } from './support/until.js';

/** Connections for calls beside those for blocks, on the same listener. */

const CALL = 64;
const COORDINATOR: PeerIdentity = { ...ALICE, id: 'a coordinator' };

/** An owner with frames of its own, which writes down what it receives. */
class Calls implements Dialler {
  readonly headers: string[] = [];
  peer: PeerIdentity | null = null;
  ended: ShoalError | null = null;

  constructor(private connection: Connection | null = null) {}

  opened(connection: Connection, peer: PeerIdentity): void {
    this.connection = connection;
    this.peer = peer;
  }

  say(text: string): void {
    this.connection!.send(CALL, 0, Buffer.from(text));
  }

  close(reason: ShoalError): void {
    this.connection!.close(reason);
  }

  admit(prelude: Prelude): void {
    checkLengths(prelude, FRAME_HEADER_BYTES, 0);
  }

  begin(_: Prelude, header: Uint8Array): null {
    this.headers.push(Buffer.from(header).toString());
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(): void {}

  awaits(): boolean {
    return false;
  }

  closed(reason: ShoalError): void {
    this.ended = reason;
  }
}

let pair: Pair;
let observer: NotingObserver;
let served: Calls[];
let clients: PeerIdentity[];

beforeEach(async () => {
  served = [];
  clients = [];
  observer = new NotingObserver();
  const onCalls = (connection: Connection, client: PeerIdentity): ConnectionOwner => {
    const calls = new Calls(connection);
    served.push(calls);
    clients.push(client);
    calls.say('first of the server');
    return calls;
  };
  pair = await Pair.open({ onCalls, observer });
});

afterEach(() => pair.close());

function greet(purpose: Purpose, self = COORDINATOR): { calls: Calls; connection: Connection } {
  const calls = new Calls();
  const connection = greetServer(
    {
      open: (inlet) => dial({ path: pair.addresses.unixPath! }, inlet, {}),
      handshake: new ClientHandshake(self, BOB, purpose, SECRET, new Uint8Array(32).fill(3)),
      clock: new SystemClock(),
      handshakeTimeoutMs: 5_000,
      progressTimeoutMs: 5_000,
    },
    calls,
  );
  return { calls, connection };
}

describe('a connection for calls', () => {
  it('goes to the hook with the identity that its client proved, and carries frames both ways', async () => {
    const { calls, connection } = greet('calls');
    await until(() => calls.headers.length === 1);
    expect(calls.headers).toEqual(['first of the server']);
    expect(clients).toEqual([COORDINATOR]);
    expect([calls.peer, connection.peer]).toEqual([BOB, BOB]);
    const long = 'x'.repeat(FRAME_HEADER_BYTES);
    calls.say('first of the client');
    calls.say(long);
    await until(() => served[0]!.headers.length === 2);
    expect(served[0]!.headers).toEqual(['first of the client', long]);
    connection.close(new Refused('enough'));
    await until(() => served[0]!.ended !== null);
    expect(served[0]!.ended).toMatchObject({ code: 'unavailable' });
    expect(calls.ended).toMatchObject({ code: 'refused' });
    expect(pair.server.connections).toBe(0);
  });

  it('stands beside one for blocks', async () => {
    const [block] = blocksOf('a', 1);
    pair.host.add([block!]);
    const { calls, connection } = greet('calls');
    await until(() => calls.peer !== null);
    const sink = new MemorySink();
    const never = new AbortController().signal;
    const { bytes } = await pair.client().fetch(pair.target('unix'), [block!.block.key], sink, never);
    expect(bytes).toBe(BLOCK_BYTES);
    expect(pair.server.connections).toBe(2);
    connection.close(new Refused('enough'));
  });

  it('is closed with the server', async () => {
    const { calls } = greet('calls');
    await until(() => calls.peer !== null);
    await pair.server.close();
    expect(served[0]!.ended).toMatchObject({ code: 'unavailable' });
    await until(() => calls.ended !== null);
  });

  it('reports an error that its owner throws, and is closed', async () => {
    const { calls } = greet('calls');
    await until(() => calls.headers.length === 1);
    const lost = new Promise<string>((resolve) => pair.server.onLinkClosed(resolve));
    served[0]!.admit = () => {
      throw new Refused('no such frame');
    };
    calls.say('anything');
    expect(await lost).toBe(COORDINATOR.id);
    expect(served[0]!.ended).toMatchObject({ code: 'refused', message: 'no such frame' });
    expect(observer.failures).toEqual(['refused']);
  });

  it('is refused by the client if another worker answers, and its owner gets one error', async () => {
    await pair.close();
    pair = await Pair.open({ identity: { ...BOB, incarnation: '0002' } });
    const { calls } = greet('calls');
    await until(() => calls.ended !== null);
    expect(calls.ended).toMatchObject({ code: 'refused', message: expect.stringContaining('another incarnation') });
    expect(calls.peer).toBeNull();
  });
});
