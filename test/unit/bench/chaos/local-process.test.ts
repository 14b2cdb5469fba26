import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { isWorker, type LocalProcess, readProcess } from '../../../../bench/chaos/running/local-process.js';

function started(command: string, ...environment: string[]): LocalProcess {
  return { command: command.split(' '), environment, sameNamespace: true };
}

describe('the worker that a process is', () => {
  it.each([
    started('node /opt/shoal/dist/cli/main.js worker', 'SHOAL_WORKER_ID=w-1'),
    started('node --enable-source-maps /usr/bin/shoal worker --worker-id w-1'),
    started('/usr/bin/shoal worker --device cpu --worker-id=w-1', 'SHOAL_WORKER_ID=w-2'),
  ])('has its id from a flag or else from the variable: $command $environment', (process) => {
    expect(isWorker(process, 'w-1')).toBe(true);
    expect(isWorker(process, 'w')).toBe(false);
    expect(isWorker(process, 'w-2')).toBe(false);
  });

  it.each([
    started('', 'SHOAL_WORKER_ID=w-1'),
    started('node /srv/app.js worker', 'SHOAL_WORKER_ID=w-1'),
    started('node /srv/main.js worker', 'SHOAL_WORKER_ID=w-1'),
    started('node /usr/bin/shoal coordinator worker', 'SHOAL_WORKER_ID=w-1'),
    started('node /usr/bin/shoal worker-pool', 'SHOAL_WORKER_ID=w-1'),
    started('node /usr/bin/shoal worker'),
    started('node /usr/bin/shoal worker --worker-id', 'SHOAL_WORKER_ID=w-1'),
  ])('is none of another program, role or id: $command $environment', (process) => {
    expect(isWorker(process, 'w-1')).toBe(false);
  });
});

describe('the processes of this machine', () => {
  it('are read with their arguments and variables', async () => {
    const wait = "process.stdin.resume(); console.log('up')";
    const child = spawn(process.execPath, ['-e', wait, 'an argument', ''], { env: { SHOAL_WORKER_ID: 'w-1' } });
    try {
      await once(child.stdout, 'data');
      const found = await readProcess(child.pid!);
      expect(found).toMatchObject({ sameNamespace: true });
      expect(found!.environment).toContain('SHOAL_WORKER_ID=w-1');
      if (process.platform === 'linux')
        expect(found!.command).toEqual([process.execPath, '-e', wait, 'an argument', '']);
    } finally {
      child.stdin.end();
      await once(child, 'close');
    }
    expect(await readProcess(child.pid!)).toBeNull();
  });

  it('have positive ids: others would name groups of processes', async () => {
    for (const pid of [0, -1, 1.5, Number.NaN]) expect(await readProcess(pid)).toBeNull();
  });
});
