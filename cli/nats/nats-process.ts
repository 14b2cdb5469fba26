import { natsWarning } from '../../src/bus/nats-advisories.js';
import type { Clock } from '../../src/clock.js';
import type { NatsUser } from '../../src/fleet/nats-rights.js';
import type { ChildExit } from '../process/child.js';
import type { SupervisedProcess } from '../process/supervised.js';
import { type EmbeddedServer, startNatsServer } from './embedded-server.js';
import { existingNatsServer, type FoundServer, findNatsServer } from './find-server.js';
import { roomForStore, StoreProbe } from './store-probe.js';
import { StoreWatch } from './store-watch.js';

/** A nats-server as a process that a supervisor can restart. */

export interface NatsCommand {
  readonly path: string;
  /** The first one is the coordinators'. */
  readonly users: readonly [NatsUser, ...NatsUser[]];
  readonly namespace: string;
  /** The port of the server that this one replaces, so that clients reconnect; 0 for the first server. */
  readonly port: number;
  readonly clock: Clock;
  /** Called with one line when the server needs people. */
  readonly onNotice: (line: string) => void;
}

/** Starts a nats-server for a supervisor. `ready` resolves with its `EmbeddedServer`. */
export function natsProcess(command: NatsCommand): SupervisedProcess & { readonly ready: Promise<EmbeddedServer> } {
  let server: EmbeddedServer | null = null;
  let over = false;
  const ready = startNatsServer(command).then((started) => {
    server = started;
    watchStore(started, command);
    return started;
  });
  const exited: Promise<ChildExit> = ready.then(
    async (started) => {
      const { code, signal } = await started.exited;
      over = true;
      return { code, signal, reason: signal === null ? `exit code ${code}` : `signal ${signal}` };
    },
    (error: unknown) => ({ code: null, signal: null, reason: error instanceof Error ? error.message : String(error) }),
  );
  const stop = async () => {
    // If the server is still starting, stop it once it has started.
    await ready.then((started) => started.stop()).catch(() => {});
    return exited;
  };
  return {
    ready,
    exited,
    stop,
    kill: () => {
      // The guard script notices the end of the server and cleans up.
      if (server !== null && !over) process.kill(server.pid, 'SIGKILL');
      void stop();
    },
    get pid() {
      return server?.pid ?? 0;
    },
  };
}

/** Restarts the server if its store has stopped: its supervisor starts another one, whose store the fleet's members fill again. */
function watchStore(server: EmbeddedServer, { users, namespace, clock, onNotice }: NatsCommand): void {
  const { url, dir, pid } = server;
  const probe = new StoreProbe({ url, namespace, user: users[0] });
  const watch = new StoreWatch({
    ...{ clock, dir, onNotice },
    fault: (doubtful) => probe.fault(doubtful),
    room: () => roomForStore(dir),
    // Its store keeps a server from stopping gracefully.
    restart: () => process.kill(pid, 'SIGKILL'),
  });
  watch.start();
  void server.exited.then(() => {
    watch.stop();
    return probe.close();
  });
}

/** Looks for a nats-server without installing one. Null if there is none. @throws Refused if the given one does not work */
export function lookForNatsServer(path: string | null): Promise<FoundServer | null> {
  return existingNatsServer(path === null ? {} : { path });
}

/** Finds the nats-server program, or installs it. */
export async function natsProgram(path: string | null, onProgress: (line: string) => void): Promise<string> {
  const found = await findNatsServer({ ...(path === null ? {} : { path }), onProgress });
  onProgress(`${found.path}, version ${found.version}`);
  const warning = natsWarning(found.version);
  if (warning !== null) onProgress(`warning: ${warning}`);
  return found.path;
}
