import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EndpointTurns } from '../../../src/peer/wire/endpoint-turns.js';

it('The endpoints of a peer take turns while it cannot be dialled; the best one comes first again once it could', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-turns-'));
  const unixPath = join(folder, 'worker.sock');
  await writeFile(unixPath, '');
  const turns = new EndpointTurns('here');
  const tcp = { host: '127.0.0.1', port: 1 };
  const address = { hostId: 'here', unixPath, tcpHost: tcp.host, tcpPort: tcp.port };
  const next = () => turns.next('worker-1', address);
  expect(next()).toEqual({ path: unixPath });
  turns.addFailure('worker-1');
  expect(next()).toEqual(tcp);
  expect(turns.next('worker-2', address)).toEqual({ path: unixPath });
  turns.addFailure('worker-1');
  expect(next()).toEqual({ path: unixPath });
  turns.addFailure('worker-1');
  turns.forget('worker-1');
  expect(next()).toEqual({ path: unixPath });
  turns.addFailure('worker-1');
  expect(turns.next('worker-1', { ...address, tcpHost: null, tcpPort: null })).toEqual({ path: unixPath });
  expect(turns.next('worker-1', { ...address, hostId: 'there' })).toEqual(tcp);
  await rm(folder, { recursive: true });
});
