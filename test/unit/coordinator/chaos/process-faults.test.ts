import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SignalFaults } from '../../../../coordinator/chaos/process-faults.js';
import { localNatsPid } from '../../../../src/bus/local-nats.js';
import { Refused } from '../../../../src/errors.js';

/** Says something without a pause. */
function talker(): ChildProcess {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => console.log("x"), 1)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** The state of a process in /proc: T if it is stopped. */
function stateOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '')[0]!;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

describe.skipIf(process.platform !== 'linux')('faults of a process (skipped without /proc)', () => {
  it('stop it for a time, after which it goes on', async () => {
    const child = talker();
    await once(child.stdout!, 'data');
    const faults = new SignalFaults();
    faults.pause(child.pid!, 1);
    await until(() => stateOf(child.pid!) === 'T');
    expect(() => faults.slow(child.pid!, 1)).toThrow('paused or slowed down already');
    await until(() => stateOf(child.pid!) !== 'T');
    await once(child.stdout!, 'data');
  });

  it('slow it down, and end with it', async () => {
    const child = talker();
    await once(child.stdout!, 'data');
    const faults = new SignalFaults();
    faults.slow(child.pid!, 60);
    for (let stops = 0; stops < 3; stops++) {
      await until(() => stateOf(child.pid!) === 'T');
      await until(() => stateOf(child.pid!) !== 'T');
    }
    const ended = once(child, 'exit');
    faults.kill(child.pid!);
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(() => faults.pause(child.pid!, 1)).toThrow(Refused);
  });

  it('find the process that listens for NATS on this machine', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address!.port : 0;
    expect(await localNatsPid(`nats://127.0.0.1:${port}`)).toBe(process.pid);
    expect(await localNatsPid(`nats://127.0.0.1:${port},nats://127.0.0.1:1`)).toBeNull();
    expect(await localNatsPid(`nats://192.0.2.1:${port}`)).toBeNull();
    server.close();
    await once(server, 'close');
    expect(await localNatsPid(`nats://127.0.0.1:${port}`)).toBeNull();
  });
});
