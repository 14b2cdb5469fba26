import { randomBytes } from 'node:crypto';
import { availableParallelism, hostname, networkInterfaces } from 'node:os';

/** What defaults depend on. */
export interface Machine {
  readonly cores: number;
  /** Memory that can be taken without harm, within the limits of a container. */
  readonly availableBytes: number;
  readonly hostname: string;
  /** First IPv4 address that others can reach, else the first IPv6 one, else null. */
  readonly outsideAddress: string | null;
  /** A name for a process that was given none: host name and a random ending. */
  readonly processName: string;
}

/** Looks at this machine. */
export function readMachine(): Machine {
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal)
    .sort((a, b) => a.family.localeCompare(b.family));
  const label = hostname().replace(/[^A-Za-z0-9_-]+/g, '-');
  return {
    cores: availableParallelism(),
    availableBytes: process.availableMemory(),
    hostname: hostname(),
    outsideAddress: outside[0]?.address ?? null,
    processName: `${label.slice(0, 48)}-${randomBytes(3).toString('hex')}`,
  };
}
