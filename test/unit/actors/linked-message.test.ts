import { describe, expect, test } from 'vitest';
import {
  type LinkedMessage,
  packForBus,
  packLinked,
  unpackFromBus,
  unpackLinked,
} from '../../../src/actors/linked-message.js';
import { encode } from '../../../src/wire/msgpack.js';

const from = { node: 'worker-1', incarnation: '0001' };
const packed = new Uint8Array(encode({ type: 'tokens', ids: [1] }));
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const call = { type: 'call', id: 7, from, actor: 'engine', protocol: 'engine', method: 'generate' } as const;

const MESSAGES: readonly LinkedMessage[] = [
  { to: 'node', message: { ...call, kind: 'stream', deadlineMs: 1_500.5, request: { tokens: Uint8Array.of(1) } } },
  { to: 'node', message: { ...call, kind: 'ask', deadlineMs: null, request: {} } },
  { to: 'node', message: { ...call, kind: 'tell', deadlineMs: 0, request: undefined } },
  { to: 'node', message: { ...call, kind: 'ask', deadlineMs: null, request: {}, trace: TRACE } },
  { to: 'node', message: { type: 'cancel', id: 7, from } },
  { to: 'node', message: { type: 'credit', id: 7, from, read: 128 } },
  { to: 'node', message: { type: 'probe', from, calls: [[1, 0]] } },
  { to: 'node', message: { type: 'alive', from, calls: [[1, 5]] } },
  { to: 'node', message: { type: 'alive', from, calls: [[2, null]] } },
  { to: 'call', id: 2 ** 40, message: { type: 'answer', value: { dropped: 3 } } },
  { to: 'call', id: 1, message: { type: 'failure', error: { code: 'invalid', message: 'no', param: 'prompt' } } },
  { to: 'call', id: 1, message: { type: 'failure', error: { code: 'unavailable', message: 'gone' } } },
  { to: 'call', id: 1, message: { type: 'end', items: 12 } },
  { to: 'call', id: 1, message: { type: 'here', from } },
  { to: 'all', message: { id: 3, from, protocol: 'counter', actor: 'counter' } },
];

describe('a message on a direct link', () => {
  test.each(MESSAGES.map((message) => [message]))('is read as it was packed: %j', (message) => {
    expect(unpackLinked(packLinked(message), from)).toEqual(message);
    expect(unpackFromBus(packForBus(message, from))).toEqual({ from, linked: message });
  });

  test('has the items of a stream unpacked', () => {
    const items: LinkedMessage = { to: 'call', id: 4, message: { type: 'items', first: 2, items: [packed, packed] } };
    const item = { type: 'tokens', ids: [1] };
    expect(unpackLinked(packLinked(items), from)).toMatchObject({ message: { first: 2, items: [item, item] } });
  });

  test('has the peer of the link as its sender', () => {
    const other = { node: 'worker-2', incarnation: '0001' };
    const bytes = packLinked({ to: 'node', message: { type: 'cancel', id: 1, from: other } });
    expect(unpackLinked(bytes, from)).toMatchObject({ message: { from } });
  });
});
