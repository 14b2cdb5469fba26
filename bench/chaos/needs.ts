import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SplitNetwork } from '../fleet/split-network.js';

/** The requirements of a fault on the machine. */

/**
 * `addresses`: all of 127.0.0.0/8 is this machine; `mounts`: small file systems; `namespaces`: network namespaces; `pids`: PID
 * namespaces; `fifos`: named pipes; `crashes`: a division that overflows ends its process; `limits`: limits of running processes can be set.
 */
export type Need = 'addresses' | 'mounts' | 'namespaces' | 'pids' | 'fifos' | 'crashes' | 'limits';

const CHECKS: Readonly<Record<Need, () => string | null>> = {
  addresses: () =>
    process.platform === 'linux'
      ? null
      : 'only Linux answers on all of 127.0.0.0/8, where the proxies between peers listen',
  mounts: mountsMissing,
  namespaces: () => SplitNetwork.unavailable(),
  pids: () => commandFails('PID namespaces', 'unshare', '--pid', '--fork', '--mount-proc', 'true'),
  crashes: () =>
    process.arch === 'x64'
      ? null
      : 'only x86 processors end a process whose graph divides so that the quotient overflows',
  fifos: () => commandFails('named pipes', 'mkfifo', '--version'),
  limits: () => commandFails('limits of running processes', 'prlimit', '--version'),
};

/** Why this machine does not meet a need; null if it does. */
export function unmet(needs: readonly Need[]): string | null {
  for (const need of needs) {
    const why = CHECKS[need]();
    if (why !== null) return why;
  }
  return null;
}

function mountsMissing(): string | null {
  const at = mkdtempSync(join(tmpdir(), 'shoal-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at], { stdio: 'pipe' });
    execFileSync('umount', [at], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `this process cannot mount a tmpfs, which needs root: ${firstLine(error)}`;
  } finally {
    rmdirSync(at);
  }
}

function commandFails(what: string, command: string, ...args: string[]): string | null {
  try {
    execFileSync(command, args, { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `${what} are not available here: ${firstLine(error)}`;
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1) ?? '';
}
