import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Fresh incarnations, and the name of this host's file system of sockets. */

/** A fresh name for this run of a worker, which sorts after all its earlier ones. */
export function newIncarnation(): string {
  return `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(4).toString('hex')}`;
}

/**
 * Names the file system in which this process's Unix sockets are seen: the running system and, on Linux, the mount namespace, so that two
 * containers of one machine do not look for each other's sockets.
 */
export function hostId(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${readlinkSync('/proc/self/ns/mnt')}`;
  } catch {
    return hostname();
  }
}
