import { readFileSync } from 'node:fs';

/** The limit on the files and sockets that this process may have open. Imports no other file: programs check the limit before they load any. */

/** Open files that a process needs to load its modules, which it reads many at a time, and to start. */
export const OPEN_FILES_NEEDED = 256;
/** Open files that connections must leave to the rest of the process: models, disk tiers, NATS, and connections that it dials. */
const OPEN_FILES_RESERVED = 192;
/** Connections that a server accepts however low the limit is. */
const FEWEST_CONNECTIONS = 16;

/** The limit of this process; null if the system does not tell, as on systems other than Linux, or sets none. @internal exported for tests. */
export function openFileLimit(): number | null {
  try {
    return parseOpenFileLimit(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return null;
  }
}

/** The soft limit in the text of `/proc/PID/limits`; null if there is none. */
export function parseOpenFileLimit(limits: string): number | null {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

/** Connections that a server may accept, so that the process never runs out of file descriptors because of them. */
export function connectionLimit(wanted: number, limit: number | null = openFileLimit()): number {
  if (limit === null) return wanted;
  return Math.min(wanted, Math.max(FEWEST_CONNECTIONS, limit - OPEN_FILES_RESERVED));
}

/** Why a process that needs so many open files cannot run under this limit, and the remedy; null if it can. */
export function openFilesFault(needed: number, limit: number | null = openFileLimit()): string | null {
  if (limit === null || limit >= needed) return null;
  return (
    `cannot run with at most ${limit} open files: ${needed} are needed, and one more for each connection; ` +
    'raise the limit: ulimit -n 4096 in the shell, LimitNOFILE=4096 in systemd, --ulimit nofile=4096 in Docker'
  );
}
