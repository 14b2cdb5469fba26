import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LocalFleet, type LocalFleetPorts } from '../../../cli/local-fleet.js';
import type { EmbeddedServer } from '../../../cli/nats/embedded-server.js';
import type { NatsCommand } from '../../../cli/nats/nats-process.js';
import type { ChildExit } from '../../../cli/process/child.js';
import { Progress } from '../../../cli/progress.js';
import { SystemClock } from '../../../src/clock.js';
import { readUpConfig } from '../../../src/config/config.js';
import { FLEET_TLS } from '../peer/support/tls.js';
import { type Compiled, compileScripts } from './process/support/compiled.js';
import { Door } from './process/support/door.js';

/** A nats-server that does not really run. */
class FakeNats {
  readonly commands: NatsCommand[] = [];
  stopped = 0;
  end: (exit: ChildExit) => void = () => {};

  start = (command: NatsCommand) => {
    this.commands.push(command);
    const server = { url: 'nats://127.0.0.1:4', port: 4, user: 'u', password: 'p', pid: 4 } as EmbeddedServer;
    const exited = new Promise<ChildExit>((resolve) => {
      this.end = resolve;
    });
    const stop = () => {
      this.stopped++;
      this.end({ code: 0, signal: null, reason: 'stopped' });
      return exited;
    };
    return { pid: 4, ready: Promise.resolve(server), exited, stop, kill: stop };
  };
}

describe('a fleet of processes on one machine', () => {
  let compiled: Compiled;
  let door: Door;
  let folder: string;
  let temporary: string;
  let lines: string[];
  let nats: FakeNats;
  let fleet: LocalFleet | null;
  let onLine: (line: string) => void;

  beforeAll(() => {
    compiled = compileScripts();
  });
  afterAll(() => compiled.remove());
  beforeEach(async () => {
    door = await Door.open();
    folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    temporary = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    vi.stubEnv('TMPDIR', temporary);
    lines = [];
    onLine = () => {};
    nats = new FakeNats();
    fleet = null;
  });
  afterEach(async () => {
    fleet?.kill();
    await door.close();
    vi.unstubAllEnvs();
    for (const path of [folder, temporary]) rmSync(path, { recursive: true, force: true });
  });

  function make(flags: Record<string, string> = {}, environment: Record<string, string> = {}): LocalFleet {
    const say = (text: string) => {
      lines.push(text);
      onLine(text);
    };
    const ports: LocalFleetPorts = {
      clock: new SystemClock(),
      environment: { STUB_DOOR: door.path, STUB_FOLDER: folder, SHOAL_PEER_PORT: '7', ...environment },
      progress: new Progress({ out: say, err: say }, false),
      secret: 'the secret of this run',
      script: compiled.script('stub-role'),
      findNats: async () => '/usr/bin/nats-server',
      startNats: nats.start,
      killings: { isKilling: ({ signal }) => signal === 'SIGKILL' },
      onLog: (line) => onLine(line),
    };
    fleet = new LocalFleet(readUpConfig({ flags: { port: '0', workers: '2', ...flags }, environment: {} }), ports);
    return fleet;
  }

  /** Resolves with the next line that contains all these words. */
  function said(...words: string[]): Promise<string> {
    return new Promise((resolve) => {
      onLine = (line) => words.every((word) => line.includes(word)) && resolve(line);
    });
  }

  /** The run directories, in a folder of their own. */
  const runFolders = () => readdirSync(temporary);

  it('starts, reports its addresses, and leaves no process, socket or folder when stopped', async () => {
    const running = make();
    const addresses = await running.start();
    expect(addresses).toMatchObject({
      nats: 'nats://127.0.0.1:4',
      coordinators: [
        { id: 'coordinator-1', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/), pid: expect.any(Number) },
      ],
    });
    const visitors = [await door.next(), await door.next(), await door.next()];
    const workers = visitors
      .filter((visitor) => visitor.id.startsWith('worker-'))
      .map(({ id, pid }) => ({ id, pid, redis: null }));
    expect([...addresses.workers].sort((a, b) => a.id.localeCompare(b.id))).toEqual(
      workers.sort((a, b) => a.id.localeCompare(b.id)),
    );
    expect(runFolders()).toHaveLength(1);
    expect(readdirSync(join(temporary, runFolders()[0]!)).sort()).toEqual(['lock', 'worker-1.sock', 'worker-2.sock']);
    await running.stop();
    await door.empty();
    expect(runFolders()).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
    expect(nats.stopped).toBe(1);
  });

  it.each([
    ['that asks for no certificate', {}],
    ['that asks for certificates of an authority', { tlsClientCa: 'ca.pem' }],
  ])('starts coordinators with an API over TLS %s', async (_name, flags) => {
    const [tlsKey, tlsCert] = [join(temporary, 'key.pem'), join(temporary, 'cert.pem')];
    writeFileSync(tlsKey, FLEET_TLS.key);
    writeFileSync(tlsCert, FLEET_TLS.cert);
    const running = make({ tlsKey, tlsCert, ...flags });
    const { coordinators } = await running.start();
    expect(coordinators).toMatchObject([{ url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) }]);
    await running.stop();
    await door.empty();
  });

  it('restarts a killed worker under its name', async () => {
    const running = make();
    const { workers } = await running.start();
    const [first] = workers;
    for (let i = 0; i < 3; i++) await door.next();
    const back = said('worker-1', 'started');
    process.kill(first!.pid, 'SIGKILL');
    expect(await back).toMatch(/worker-1 +started \(pid \d+\)/);
    const again = await door.next();
    expect(again.id).toBe('worker-1');
    expect(again.pid).not.toBe(first!.pid);
    await running.stop();
    await door.empty();
  });

  it('tells its coordinators which worker somebody killed, and nothing of one that crashed', async () => {
    const running = make({ coordinators: '2' });
    const { workers } = await running.start();
    const pidOf = (id: string) => workers.find((worker) => worker.id === id)!.pid;
    const heard: string[] = [];
    const both = new Promise<void>((resolve) => {
      onLine = (line) => {
        if (line.includes(' heard: ')) heard.push(line);
        if (heard.length === 2) resolve();
        if (/worker-1 +ended/.test(line)) process.kill(pidOf('worker-2'), 'SIGKILL');
      };
    });
    process.kill(pidOf('worker-1'), 'SIGSEGV');
    await both;
    expect(heard.sort()).toEqual([1, 2].map((number) => `coordinator-${number} heard: killed worker-2 of worker-2`));
    await running.stop();
    await door.empty();
  });

  it('restarts a coordinator on the same port', async () => {
    const running = make({ workers: '1', coordinators: '2' });
    const { coordinators } = await running.start();
    expect(coordinators.map(({ id }) => id)).toEqual(['coordinator-1', 'coordinator-2']);
    const [first, second] = coordinators;
    const back = said('coordinator-2', 'started');
    process.kill(second!.pid, 'SIGKILL');
    await back;
    for (const { url } of [first!, second!]) expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    await running.stop();
    await door.empty();
  });

  it('restarts NATS with the same port and credentials', async () => {
    const running = make({ workers: '1' });
    await running.start();
    const back = said('nats', 'started');
    nats.end({ code: 2, signal: null, reason: 'exit code 2' });
    await back;
    const [first, second] = nats.commands;
    expect(first).toMatchObject({ path: '/usr/bin/nats-server', port: 0 });
    expect(first!.users.map(({ user }) => user)).toEqual(['coordinator', 'worker']);
    expect(second).toEqual({ ...first, port: 4 });
    await running.stop();
  });

  it('fails with the reason of the child that cannot start, and leaves no process behind', async () => {
    const running = make({}, { STUB_FAILS: 'worker-2' });
    await expect(running.start()).rejects.toThrow('cannot start worker-2: worker-2 finds its port in use');
    await running.stop();
    await door.empty();
    expect(runFolders()).toEqual([]);
  });

  it('can be stopped while it starts', async () => {
    const running = make();
    const started = expect(running.start()).rejects.toThrow();
    await door.next();
    await running.stop();
    await started;
    await door.empty();
    expect(runFolders()).toEqual([]);
  });

  it('can be killed at once, even if a worker does not stop', async () => {
    const running = make({}, { STUB_STOP: 'hangs' });
    await running.start();
    running.kill();
    await door.empty();
    expect(existsSync(folder) && runFolders()).toEqual([]);
  });
});
