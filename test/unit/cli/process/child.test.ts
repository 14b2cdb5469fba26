import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Child, ChildFailed } from '../../../../cli/process/child.js';
import { SimulatedClock, SystemClock } from '../../../../src/clock.js';
import * as limits from '../../../../src/limits.js';
import { type Compiled, compileScripts } from './support/compiled.js';
import { Door } from './support/door.js';

describe('a child process', () => {
  let compiled: Compiled;
  let door: Door;
  const lines: string[] = [];

  beforeAll(() => {
    compiled = compileScripts();
  });
  afterAll(() => compiled.remove());
  beforeEach(async () => {
    door = await Door.open();
    lines.length = 0;
  });
  afterEach(() => door.close());

  function worker(environment: Record<string, string> = {}, script = compiled.script('stub-role')): Child {
    return new Child({
      name: 'worker-1',
      script,
      args: ['worker'],
      environment: { PATH: process.env.PATH ?? '', STUB_DOOR: door.path, SHOAL_WORKER_ID: 'worker-1', ...environment },
      onLine: (line) => lines.push(line),
    });
  }

  it('reports when it is ready, forwards its log, and ends gracefully when asked', async () => {
    const child = worker({ SHOAL_SECRET: 'given by the parent' });
    expect(await child.ready).toEqual({ id: 'worker-1', incarnation: 'of worker-1', secret: 'given by the parent' });
    expect((await door.next()).pid).toBe(child.pid);
    expect(await child.stop(new SystemClock())).toMatchObject({ code: 0, signal: null });
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['worker-1 starts']);
  });

  it('fails with its own reason if it cannot start', async () => {
    const child = worker({ STUB_FAILS: 'worker-1' });
    await expect(child.ready).rejects.toThrow(new ChildFailed('worker-1', await child.exited).message);
    expect(await child.exited).toEqual({ code: 1, signal: null, reason: 'worker-1 finds its port in use' });
  });

  it("fails with Node's error if its script does not load", async () => {
    const child = worker({}, '/nonexistent/script.js');
    await expect(child.ready).rejects.toThrow(/Cannot find module '\/nonexistent\/script.js'/);
  });

  it('is killed after the grace period if it does not stop', async () => {
    const clock = new SimulatedClock();
    const child = worker({ STUB_STOP: 'hangs' });
    await child.ready;
    const stopped = child.stop(clock);
    await clock.advance(limits.PROCESS_STOP_MS);
    expect(await stopped).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  it('ends when its parent is killed', async () => {
    const parent = spawn(process.execPath, [compiled.script('stub-parent'), compiled.script('stub-role')], {
      env: { PATH: process.env.PATH, STUB_DOOR: door.path },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const child = await door.next();
    expect(child.pid).not.toBe(parent.pid);
    if (parent.stdout) await once(parent.stdout, 'data');
    parent.kill('SIGKILL');
    await child.gone;
  });

  it('has its own session, so that Ctrl-C in a terminal does not reach it', async () => {
    const child = worker();
    await child.ready;
    // Signal 0 only checks that the process group of the child exists.
    expect(() => process.kill(-child.pid, 0)).not.toThrow();
    await child.stop(new SystemClock());
  });
});
