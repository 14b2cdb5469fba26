import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Child, type ChildExit } from '../../../../cli/process/child.js';
import { Supervised, type SupervisedEvent, type SupervisedProcess } from '../../../../cli/process/supervised.js';
import { DEFAULT_RESTART_POLICY } from '../../../../src/actors/restart-policy.js';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import * as limits from '../../../../src/limits.js';
import { type Compiled, compileScripts } from './support/compiled.js';
import { Door } from './support/door.js';

/** A process whose readiness and end the test controls. */
class FakeProcess implements SupervisedProcess {
  stopped = false;
  killed = false;
  become!: (info: unknown) => void;
  end!: (reason: string, signal?: NodeJS.Signals) => void;
  readonly exited = new Promise<ChildExit>((resolve) => {
    this.end = (reason, signal) => resolve(signal ? { code: null, signal, reason } : { code: 1, signal: null, reason });
  });
  readonly ready = new Promise<unknown>((resolve, reject) => {
    this.become = resolve;
    this.exited.then((exit) => reject(new Error(exit.reason)));
  });
  constructor(readonly pid: number) {
    this.ready.catch(() => {});
  }
  async stop(): Promise<ChildExit> {
    this.stopped = true;
    this.end('stopped');
    return this.exited;
  }
  kill(): void {
    this.killed = true;
    this.end('killed');
  }
}

describe('a supervised process', () => {
  let clock: SimulatedClock;
  let spawned: FakeProcess[];
  let events: SupervisedEvent[];
  let supervised: Supervised;
  const newest = () => spawned.at(-1)!;

  beforeEach(async () => {
    clock = new SimulatedClock();
    spawned = [];
    events = [];
    supervised = new Supervised({
      spawn: () => {
        spawned.push(new FakeProcess(spawned.length + 100));
        return newest();
      },
      policy: { restarts: 3, windowMs: 60_000, backoffMs: 200, ceilingMs: 500 },
      clock,
      onEvent: (event) => events.push(event),
    });
  });

  async function started(): Promise<void> {
    const start = supervised.start();
    newest().become('info');
    await start;
    events.length = 0;
  }

  it('is not restarted if it fails its first start', async () => {
    const start = supervised.start();
    newest().end('port in use');
    await expect(start).rejects.toThrow('port in use');
    await clock.advance(60_000);
    expect(spawned).toHaveLength(1);
    expect(events).toEqual([]);
  });

  it('is restarted after growing pauses, and given up when it dies too often', async () => {
    await started();
    for (const inMs of [200, 400, 500]) {
      newest().end('crash');
      await settled();
      expect(events.pop()).toMatchObject({ type: 'restarting', inMs });
      expect(supervised.pid).toBeNull();
      const before = spawned.length;
      await clock.advance(inMs - 1);
      expect(spawned).toHaveLength(before);
      await clock.advance(1);
      expect(spawned).toHaveLength(before + 1);
      newest().become('again');
      await settled();
      expect(events.pop()).toEqual({ type: 'ready', pid: newest().pid, info: 'again' });
      expect(supervised.pid).toBe(newest().pid);
    }
    newest().end('the last crash');
    await settled();
    expect(events.pop()).toMatchObject({ type: 'given-up', exit: { reason: 'the last crash' } });
    await clock.advance(600_000);
    expect(spawned).toHaveLength(4);
  });

  describe('that signals end', () => {
    beforeEach(started);

    async function endsBy(signal?: NodeJS.Signals): Promise<void> {
      newest().end('crash', signal);
      await settled();
    }
    async function comesBack(): Promise<void> {
      await clock.advance(500);
      newest().become('again');
      await settled();
    }

    it('is restarted after each of them, with a bounded pause', async () => {
      for (let kill = 0; kill < 20; kill++) {
        await endsBy('SIGKILL');
        expect(events.pop()).toMatchObject({ type: 'restarting', inMs: [200, 400][kill] ?? 500 });
        await comesBack();
      }
      expect(spawned).toHaveLength(21);
      await clock.advance(60_000);
      await endsBy('SIGSEGV');
      expect(events.pop()).toMatchObject({ type: 'restarting', inMs: 200 });
    });

    it('is given up when it ends by itself too often', async () => {
      await endsBy('SIGKILL');
      await comesBack();
      for (let crash = 0; crash < 3; crash++) {
        await endsBy();
        expect(events.pop()).toMatchObject({ type: 'restarting', inMs: [200, 400, 500][crash] });
        await clock.advance(500);
      }
      // Also before it is ready, a signal is no end of its own.
      await endsBy('SIGKILL');
      expect(events.pop()).toMatchObject({ type: 'restarting' });
      await clock.advance(500);
      await endsBy();
      expect(events.pop()).toMatchObject({ type: 'given-up' });
    });
  });

  it('counts an end before it is ready as another death', async () => {
    await started();
    newest().end('crash');
    await clock.advance(200);
    newest().end('crash while starting');
    await settled();
    expect(events.map((event) => event.type)).toEqual(['restarting', 'restarting']);
  });

  it('is killed if it never becomes ready', async () => {
    const start = supervised.start();
    start.catch(() => {});
    await clock.advance(limits.PROCESS_READY_MS);
    expect(newest().killed).toBe(true);
    await expect(start).rejects.toThrow('killed');
  });

  it('stays down once it is stopped, while running or while waiting for its restart', async () => {
    await started();
    newest().end('crash');
    await settled();
    await supervised.stop();
    await clock.advance(60_000);
    expect(spawned).toHaveLength(1);

    await started();
    await supervised.stop();
    expect(newest().stopped).toBe(true);
    await clock.advance(60_000);
    expect(spawned).toHaveLength(2);
    expect(events).toEqual([]);
  });
});

describe('a supervised process that does not stop', () => {
  it('is not waited for without end', async () => {
    const clock = new SimulatedClock();
    const process = new FakeProcess(1);
    process.stop = () => process.exited;
    const supervised = new Supervised({
      spawn: () => process,
      policy: DEFAULT_RESTART_POLICY,
      clock,
      onEvent: () => {},
    });
    const start = supervised.start();
    process.become('info');
    await start;
    const stops = Promise.all([supervised.stop(), supervised.stop()]);
    await clock.advance(limits.PROCESS_STOP_MS + 5_000);
    expect(await stops).toEqual([false, false]);
    process.end('at last');
    expect(await supervised.stop()).toBe(true);
  });

  it('can still be killed', async () => {
    const process = new FakeProcess(1);
    process.stop = () => process.exited;
    const policy = DEFAULT_RESTART_POLICY;
    const supervised = new Supervised({ spawn: () => process, policy, clock: new SimulatedClock(), onEvent: () => {} });
    const start = supervised.start();
    process.become('info');
    await start;
    const stops = Promise.all([supervised.stop(), supervised.stop()]);
    supervised.kill();
    expect(process.killed).toBe(true);
    await stops;
  });
});

describe('a supervised real process', () => {
  let compiled: Compiled;
  let door: Door;
  beforeAll(() => {
    compiled = compileScripts();
  });
  afterAll(() => compiled.remove());
  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(() => door.close());

  it('restarts under the same name after kill -9, and leaves no process behind when stopped', async () => {
    const clock = new SimulatedClock();
    let onEvent: (event: SupervisedEvent) => void = () => {};
    const next = () =>
      new Promise<SupervisedEvent>((resolve) => {
        onEvent = resolve;
      });
    const spawn = () =>
      new Child({
        name: 'worker-7',
        script: compiled.script('stub-role'),
        args: ['worker'],
        environment: { STUB_DOOR: door.path, SHOAL_WORKER_ID: 'worker-7' },
        onLine: () => {},
      });
    const supervised = new Supervised({
      spawn,
      clock,
      policy: DEFAULT_RESTART_POLICY,
      onEvent: (event) => onEvent(event),
    });
    await supervised.start();
    const first = await door.next();

    const death = next();
    process.kill(first.pid, 'SIGKILL');
    expect(await death).toMatchObject({ type: 'restarting', exit: { reason: 'signal SIGKILL' }, inMs: 200 });
    const life = next();
    await clock.advance(DEFAULT_RESTART_POLICY.backoffMs);
    expect(await life).toMatchObject({ type: 'ready', info: { id: 'worker-7' } });
    const second = await door.next();
    expect(second.id).toBe('worker-7');
    expect(second.pid).not.toBe(first.pid);

    await supervised.stop();
    await door.empty();
  });
});
