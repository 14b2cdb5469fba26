import { beforeEach, describe, expect, it } from 'vitest';
import { ComposeKiller, type Execute, ProcessKiller } from '../../../../bench/chaos/running/killer.js';
import type { LocalProcess } from '../../../../bench/chaos/running/local-process.js';
import type { WorkerRow } from '../../../../bench/fleet/fleet-api.js';
import { Refused } from '../../../../src/errors.js';

const ID = 'a1b2c3d4e5f6'.padEnd(64, '0');

function recorded(answers: Record<string, string>): { run: Execute; calls: string[] } {
  const calls: string[] = [];
  const run: Execute = async (program, args) => {
    calls.push([program, ...args].join(' '));
    return answers[`${program} ${args[0]}`] ?? '';
  };
  return { run, calls };
}

const worker: LocalProcess = {
  command: ['/usr/bin/node', '/opt/shoal/dist/cli/main.js', 'worker'],
  environment: ['PATH=/usr/bin', 'SHOAL_WORKER_ID=worker-2'],
  sameNamespace: true,
};

describe('killing processes', () => {
  const victim = { id: 'worker-2', pid: 4711, host: 'here' };
  let killed: number[];
  beforeEach(() => {
    killed = [];
  });
  const killer = (found: LocalProcess | null) =>
    new ProcessKiller(
      async () => found,
      (pid) => killed.push(pid),
      'here',
    );

  it('kills a worker of this machine', async () => {
    await killer(worker).kill(victim);
    expect(killed).toEqual([4711]);
  });

  it.each([
    ['the host is another', worker, { host: 'there' }, 'it runs on there'],
    ['there is no process', null, {}, 'is not running'],
    ['a container has the process', { ...worker, sameNamespace: false }, {}, 'another PID namespace'],
    ['it is another worker', worker, { id: 'worker-3' }, 'is not the worker'],
    ['it is another program', { ...worker, command: ['/usr/sbin/sshd', 'worker'] }, {}, 'is not the worker'],
  ])('kills nothing if %s', async (_, found, other, reason) => {
    const killing = killer(found).kill({ ...victim, ...other });
    await expect(killing).rejects.toThrow(Refused);
    await expect(killing).rejects.toThrow(reason);
    await expect(killing).rejects.toThrow('--compose');
    expect(killed).toEqual([]);
  });
});

describe('killing containers', () => {
  it("kills and starts the container with the worker's host name", async () => {
    const { run, calls } = recorded({ 'docker ps': `${'f'.repeat(64)}\n${ID}\n` });
    await new ComposeKiller('shoal', run).kill({ id: 'w', pid: 7, host: 'a1b2c3d4e5f6' });
    expect(calls).toEqual([
      'docker ps --no-trunc -q --filter label=com.docker.compose.project=shoal',
      `docker kill ${ID}`,
      `docker start ${ID}`,
    ]);
  });

  it('knows a worker by its id, or by its service and number, also after its container has been started again', async () => {
    const { run, calls } = recorded({ 'docker ps': `${ID}\n` });
    const killer = new ComposeKiller('shoal', run);
    const rowOf = (id: string, host: string) => ({ id, host, state: 'serving' }) as WorkerRow;
    const old = rowOf('a1b2c3d4e5f6-0d1e2f', 'a1b2c3d4e5f6');
    const workers = [rowOf('f00000000000-0d1e2f', 'f00000000000'), old];
    expect(await killer.find(old.id, workers)).toBe(old);
    expect(calls).toEqual([]);
    expect(await killer.find('worker-2', workers)).toBe(old);
    const label = '--filter label=com.docker.compose';
    expect(calls).toEqual([
      `docker ps --no-trunc -q ${label}.project=shoal ${label}.service=worker ${label}.container-number=2`,
    ]);
    expect(await killer.find('nobody', workers)).toBeNull();
    const restarted = rowOf('a1b2c3d4e5f6-333333', 'a1b2c3d4e5f6');
    expect([killer.isSame(old, restarted), killer.isSame(old, workers[0]!)]).toEqual([true, false]);
  });

  it('kills no container if none of the project is the worker', async () => {
    const { run, calls } = recorded({ 'docker ps': `${ID}\n` });
    const killer = new ComposeKiller('shoal', run);
    for (const host of ['a', 'elsewhere-of-all', '']) {
      await expect(killer.kill({ id: 'w', pid: 7, host })).rejects.toThrow('no container of the project shoal');
    }
    expect(calls.filter((call) => !call.startsWith('docker ps'))).toEqual([]);
  });
});
