import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { KnockAnswer } from '../../../src/core/knock-answer.js';
import type { Endpoint } from '../../../src/peer/wire/socket.js';
import type { NodeView } from '../../../src/runtime/core/node-view.js';
import { NodeProbes } from '../../../src/runtime/member/node-probes.js';

const node: NodeView = {
  ...{ id: 'a', incarnation: 'a-1', kind: 'node', pid: 1, host: 'h', worker: null },
  address: { hostId: 'there', unixPath: null, tcpHost: '10.0.0.1', tcpPort: 7 },
  ...{ exports: [], total: {}, free: {}, actors: 0, tasks: 0 },
};

it('A silent node is looked at again while it stays silent, once at a time, and the last look counts', async () => {
  const clock = new SimulatedClock();
  const answers: KnockAnswer[] = ['there', 'ended', 'there'];
  const asked: Endpoint[] = [];
  const knock = async (endpoint: Endpoint) => {
    asked.push(endpoint);
    return answers[asked.length - 1]!;
  };
  const probes = new NodeProbes({ network: { knock }, clock, hostId: 'here' });
  const looks: KnockAnswer[] = [];
  for (let i = 0; i < 12; i++) {
    looks.push(probes.presenceOf(node));
    await clock.advance(250);
  }
  expect(asked).toEqual([
    { host: '10.0.0.1', port: 7 },
    { host: '10.0.0.1', port: 7 },
  ]);
  expect(looks[0]).toBe('unknown');
  expect([looks[1], looks.at(-1)]).toEqual(['there', 'ended']);
  // It was heard for a while: what an earlier silence has shown says nothing about this one.
  await clock.advance(60_000);
  expect(probes.presenceOf(node)).toBe('unknown');
  await clock.advance(250);
  expect(probes.presenceOf(node)).toBe('there');
  expect(probes.presenceOf({ ...node, incarnation: 'b', address: null })).toBe('unknown');
  const elsewhere = { ...node.address!, tcpHost: null, tcpPort: null, unixPath: '/run/a.sock' };
  expect(probes.presenceOf({ ...node, incarnation: 'c', address: elsewhere })).toBe('unknown');
});
