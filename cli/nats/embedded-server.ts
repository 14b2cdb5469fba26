import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { Unavailable } from '../../src/errors.js';
import type { NatsUser } from '../../src/fleet/nats-rights.js';
import { LockedFolder } from '../process/locked-folder.js';
import { serverEnvironment } from './environment.js';
import { natsUser } from './users.js';

/** A nats-server that belongs to this process and ends with it. */

/** Bytes that the embedded server keeps for JetStream, in memory and on disk, and how long it may take to start and to stop. */
const NATS_STORE_MEMORY_BYTES = 64 * 2 ** 20;
const NATS_STORE_FILE_BYTES = 512 * 2 ** 20;
const NATS_START_TIMEOUT_MS = 15_000;
const NATS_STOP_TIMEOUT_MS = 5_000;

export interface EmbeddedServerOptions {
  /** Path of the nats-server program, from `findNatsServer`. */
  path: string;
  /** Parent of the server's private folder. The default is the system's folder for temporary files. */
  dir?: string;
  /** 0 lets the server choose. */
  port?: number;
  /** By default one user of random credentials, who may do everything. A server that replaces another one gets the same users. */
  users?: readonly NatsUser[];
}

export interface EmbeddedServer {
  /** `nats://127.0.0.1:<port>`, without the credentials. */
  readonly url: string;
  readonly port: number;
  /** Of the first user. */
  readonly user: string;
  readonly password: string;
  readonly pid: number;
  /** The server's private folder, removed when the server has ended. */
  readonly dir: string;
  /** Resolves when the server has ended, for any reason. */
  readonly exited: Promise<ServerExit>;
  /** Stops the server and removes its folder. Idempotent. */
  stop(): Promise<void>;
}

interface ServerExit {
  readonly code: number | null;
  /** The signal that ended the server, or the guard script. */
  readonly signal: NodeJS.Signals | null;
  /** The end of the server's log. */
  readonly logTail: string;
}

/**
 * Starts a nats-server for this process alone: on loopback, with JetStream in a private folder, and its own credentials. The server
 * ends with this process, even if this process is killed, and gets no signals from the terminal.
 * @throws Unavailable with the end of the server's log if it does not start, or if there is no place for its folder
 */
export async function startNatsServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const base = options.dir ?? tmpdir();
  const folder = makeFolder(base);
  const dir = folder.path;
  const users = options.users ?? [natsUser(`shoal-${randomBytes(4).toString('hex')}`, null)];
  const [{ user, password } = { user: '', password: '' }] = users;
  const files = serverFiles(dir);
  try {
    await mkdir(files.ports);
    await writeFile(files.config, serverConfig(files, options.port ?? 0, users), { mode: 0o600 });
  } catch (error) {
    folder.remove();
    throw noPlace(base, error);
  }

  const guard = spawnGuard(options.path, files, folder.lock);
  // From now on the guard and the server own the folder. If both are killed, the next start of a server removes it.
  folder.leave();
  const stop = () => stopGuard(guard, dir);
  try {
    const { port, pid } = await whenListening(files, guard.exited);
    return { url: `nats://127.0.0.1:${port}`, port, user, password, pid, dir, exited: guard.exited, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function makeFolder(base: string): LockedFolder {
  try {
    return LockedFolder.create(base, 'shoal-nats-');
  } catch (error) {
    throw noPlace(base, error);
  }
}

function noPlace(base: string, error: unknown): Unavailable {
  const reason = error instanceof Error ? error.message : String(error);
  return new Unavailable(
    `cannot make a folder for nats-server in ${base}: ${reason}; set TMPDIR to a folder on a disk with room that this user may write to`,
  );
}

/**
 * A shell script that runs the server, and afterwards prints the last line of its log and removes its folder. It stops the server
 * when standard input closes, because the process at the other end has stopped it or died. It and the server inherit the lock of the folder.
 * $1 server, $2 folder, $3 configuration, $4 log file.
 */
const GUARD = `
exec 3<&0 </dev/null
"$1" -c "$3" >"$4" 2>&1 3<&- &
server=$!
(
  read -r line <&3
  kill -TERM "$server"
  for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; kill -0 "$server" || exit; done
  kill -KILL "$server"
) >/dev/null 2>&1 &
watcher=$!
wait "$server"
code=$?
kill "$watcher" 2>/dev/null
tail -n 1 "$4"
rm -rf "$2"
exit "$code"
`;

interface Guard {
  readonly process: ChildProcess;
  readonly exited: Promise<ServerExit>;
}

function spawnGuard(path: string, files: ServerFiles, lock: number): Guard {
  const args = ['-c', GUARD, 'shoal-nats-guard', path, files.dir, files.config, files.output];
  // Its own session: Ctrl-C in the terminal must reach only this process, which then stops the server gracefully.
  const guard = spawn('/bin/sh', args, {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore', 'ignore', lock],
    env: serverEnvironment(),
  });
  guard.stdin?.on('error', () => undefined);
  let logTail = '';
  guard.stdout?.setEncoding('utf8').on('data', (text: string) => {
    logTail = (logTail + text).slice(-500);
  });
  const exited = new Promise<ServerExit>((resolve) => {
    guard.once('close', (code, signal) => resolve({ code, signal: signal ?? signalOf(code), logTail: logTail.trim() }));
    guard.once('error', (error) => resolve({ code: null, signal: null, logTail: error.message }));
  });
  return { process: guard, exited };
}

/** A shell reports a signal that ended its child as an exit code above this one. */
const SIGNAL_CODES = 128;

function signalOf(code: number | null): NodeJS.Signals | null {
  const number = (code ?? 0) - SIGNAL_CODES;
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? [null];
  return name as NodeJS.Signals | null;
}

async function stopGuard(guard: Guard, dir: string): Promise<void> {
  guard.process.stdin?.end();
  const late = new AbortController();
  const killing = pause(NATS_STOP_TIMEOUT_MS, undefined, { signal: late.signal }).then(
    () => {
      if (guard.process.pid !== undefined) process.kill(-guard.process.pid, 'SIGKILL');
    },
    () => undefined,
  );
  await guard.exited;
  late.abort();
  await killing;
  await rm(dir, { recursive: true, force: true });
}

interface ServerFiles {
  readonly dir: string;
  readonly config: string;
  readonly output: string;
  readonly ports: string;
  readonly store: string;
}

function serverFiles(dir: string): ServerFiles {
  const at = (name: string) => join(dir, name);
  return { dir, config: at('nats.conf'), output: at('nats.log'), ports: at('ports'), store: at('store') };
}

/** The server's configuration. Its format is a superset of JSON. */
function serverConfig(files: ServerFiles, port: number, users: readonly NatsUser[]): string {
  return JSON.stringify({
    host: '127.0.0.1',
    port: port === 0 ? -1 : port,
    ports_file_dir: files.ports,
    max_payload: 1024 * 1024,
    authorization: {
      users: users.map(({ user, password, rights }) => ({
        user,
        password,
        ...(rights && {
          permissions: { publish: { allow: rights.publish }, subscribe: { allow: rights.subscribe } },
        }),
      })),
    },
    jetstream: {
      store_dir: files.store,
      max_memory_store: NATS_STORE_MEMORY_BYTES,
      max_file_store: NATS_STORE_FILE_BYTES,
    },
  });
}

const PortsFile = z.object({ nats: z.array(z.string()).min(1) });

/** Waits for the file in which the server reports its ports. The file name contains the server's process id. */
async function whenListening(files: ServerFiles, exited: Promise<ServerExit>): Promise<{ port: number; pid: number }> {
  const startedMs = performance.now();
  while (performance.now() - startedMs < NATS_START_TIMEOUT_MS) {
    const found = await readPorts(files.ports);
    if (found) return found;
    const exit = await Promise.race([exited, pause(10)]);
    if (exit) throw new Unavailable(`cannot start nats-server: ${exit.logTail || `exit code ${exit.code}`}`);
  }
  throw new Unavailable(`cannot start nats-server: it did not listen within ${NATS_START_TIMEOUT_MS} ms`);
}

async function readPorts(dir: string): Promise<{ port: number; pid: number } | null> {
  const name = (await readdir(dir).catch(() => [])).find((file) => file.endsWith('.ports'));
  const pid = Number(/_(\d+)\.ports$/.exec(name ?? '')?.[1]);
  if (!name || !pid) return null;
  try {
    const port = Number(
      /:(\d+)$/.exec(PortsFile.parse(JSON.parse(await readFile(join(dir, name), 'utf8'))).nats[0] ?? '')?.[1],
    );
    return port ? { port, pid } : null;
  } catch {
    // The file is incomplete.
    return null;
  }
}
