import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Names for one run of a process, and for the host as its Unix sockets see it. */

/** Random bytes of an incarnation: enough that no two processes draw the same. */
const INCARNATION_BYTES = 12;

/** A fresh incarnation. It is random, because keys of sealed messages derive from it; `src/fleet/generation` orders incarnations. */
export function newIncarnation(): string {
  return randomBytes(INCARNATION_BYTES).toString('hex');
}

/**
 * Identifies the file system that contains this process's Unix sockets: the boot of the machine and, on Linux, the mount namespace, so that
 * two containers of one machine do not try each other's sockets.
 */
export function hostId(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${readlinkSync('/proc/self/ns/mnt')}`;
  } catch {
    return hostname();
  }
}
