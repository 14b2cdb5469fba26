import { describe, expect, it } from 'vitest';
import { ComposeKiller, type Execute, ProcessKiller } from '../../../../bench/chaos/running/killer.js';
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

describe('killing processes', () => {
  const victim = { id: 'worker-2', pid: 4711, host: 'here' };
  const killed: number[] = [];
  const killer = (command: string) =>
    new ProcessKiller(recorded({ 'ps -o': command }).run, (pid) => killed.push(pid), 'here');

  it('kills a worker of this machine', async () => {
    await killer('/usr/bin/node /opt/shoal/dist/cli/main.js worker\n').kill(victim);
    expect(killed.splice(0)).toEqual([4711]);
  });

  it('kills no process of another machine, and none that is not a worker', async () => {
    const worker = killer('node main.js worker');
    await expect(worker.kill({ ...victim, host: 'there' })).rejects.toThrow(Refused);
    await expect(killer('/usr/sbin/sshd').kill(victim)).rejects.toThrow('4711 of this machine is not a worker');
    await expect(killer('').kill(victim)).rejects.toThrow('is not running');
    expect(killed).toEqual([]);
  });
});

describe('killing containers', () => {
  it('kills and starts the container whose host name the worker has', async () => {
    const { run, calls } = recorded({ 'docker ps': `${'f'.repeat(64)}\n${ID}\n` });
    await new ComposeKiller('shoal', run).kill({ id: 'w', pid: 7, host: 'a1b2c3d4e5f6' });
    expect(calls).toEqual([
      'docker ps --no-trunc -q --filter label=com.docker.compose.project=shoal',
      `docker kill ${ID}`,
      `docker start ${ID}`,
    ]);
  });

  it('kills nothing if no container of the project is the worker', async () => {
    const { run, calls } = recorded({ 'docker ps': `${ID}\n` });
    const killer = new ComposeKiller('shoal', run);
    for (const host of ['a', 'elsewhere-of-all', '']) {
      await expect(killer.kill({ id: 'w', pid: 7, host })).rejects.toThrow('no container of the project shoal');
    }
    expect(calls.filter((call) => !call.startsWith('docker ps'))).toEqual([]);
  });
});
