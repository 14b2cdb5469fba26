import { Unavailable } from '../../src/errors.js';
import type { ChildExit } from '../process/child.js';
import type { SupervisedProcess } from '../process/supervised.js';
import { type EmbeddedServer, startNatsServer } from './embedded-server.js';
import { type FoundServer, findNatsServer } from './find-server.js';
import { PINNED_RELEASE } from './release.js';

export interface NatsCommand {
  readonly path: string;
  /** Those of the server whose place it takes, so that clients find it again; null at first. */
  readonly before: { readonly port: number; readonly user: string; readonly password: string } | null;
}

/** A nats-server as a supervisor sees it. `ready` gives its `EmbeddedServer`. */
export function natsProcess(command: NatsCommand): SupervisedProcess & { readonly ready: Promise<EmbeddedServer> } {
  let server: EmbeddedServer | null = null;
  let over = false;
  const ready = startNatsServer({ path: command.path, ...command.before }).then((started) => {
    server = started;
    return started;
  });
  const exited: Promise<ChildExit> = ready.then(
    async (started) => {
      const { code } = await started.exited;
      over = true;
      return { code, signal: null, reason: `it exited with code ${code}` };
    },
    (error: unknown) => ({ code: null, signal: null, reason: error instanceof Error ? error.message : String(error) }),
  );
  const stop = async () => {
    // It may be starting: then it is stopped once it has.
    await ready.then((started) => started.stop()).catch(() => {});
    return exited;
  };
  return {
    ready,
    exited,
    stop,
    kill: () => {
      // What guards it sees its end, and clears up after it.
      if (server !== null && !over) process.kill(server.pid, 'SIGKILL');
      void stop();
    },
    get pid() {
      return server?.pid ?? 0;
    },
  };
}

/** Looks for the program where it may be, and installs nothing. Null if it is nowhere. @throws Refused if the one named does not work */
export async function lookForNatsServer(path: string | null): Promise<FoundServer | null> {
  // A release without checksums is one that is never downloaded.
  const release = { ...PINNED_RELEASE, sha256: {} };
  try {
    return await findNatsServer({ ...(path === null ? {} : { path }), release, debian: false });
  } catch (error) {
    if (error instanceof Unavailable) return null;
    throw error;
  }
}

/** Finds the program, or installs it. */
export async function natsProgram(path: string | null, onProgress: (line: string) => void): Promise<string> {
  const found = await findNatsServer({ ...(path === null ? {} : { path }), onProgress });
  onProgress(`${found.path}, version ${found.version}`);
  return found.path;
}
