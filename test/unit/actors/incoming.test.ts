import { expect, it } from 'vitest';
import type { CallMessage, NodeMessage } from '../../../src/actors/envelope.js';
import type { ActorEvent } from '../../../src/actors/event.js';
import { Incoming } from '../../../src/actors/incoming.js';
import { LocalRoute } from '../../../src/actors/route.js';
import { SimulatedClock } from '../../../src/clock.js';
import { CALL_SILENCE_MS } from '../../../src/limits.js';

const CALLER = { node: 'caller', incarnation: '1' };
const SELF = { node: 'callee', incarnation: '1' };

function call(id: number): CallMessage {
  const about = { from: CALLER, protocol: 'log', actor: 'log', method: 'push', kind: 'ask' } as const;
  return { type: 'call', id, ...about, deadlineMs: null, request: id };
}

it('A call that its caller was told is lost does not run when it arrives late, on the route that has closed', async () => {
  const [ran, events, sent]: [number[], ActorEvent[], NodeMessage[]] = [[], [], []];
  const incoming = new Incoming(
    new SimulatedClock(),
    SELF,
    (event) => events.push(event),
    ({ message }) => ran.push(message.id),
    CALL_SILENCE_MS,
  );
  const route = new LocalRoute({ nodeMessage: (message) => sent.push(message), answer: () => undefined });
  incoming.receiveCall(call(1), route);
  incoming.probe({ type: 'probe', from: CALLER, calls: [[1, 0], [2, 0]] }, route); // biome-ignore format: one line for each message
  await Promise.resolve();
  expect(sent).toEqual([{ type: 'alive', from: SELF, calls: [[1, 0], [2, null]] }]); // biome-ignore format: as above
  incoming.receiveCall(call(3), route);
  incoming.receiveCall(call(2), route);
  expect(ran).toEqual([1, 3]);
  expect(events).toEqual([{ type: 'dropped', reason: 'duplicate', what: 'log.push' }]);
});
