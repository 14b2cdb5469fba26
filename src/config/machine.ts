import { randomBytes } from 'node:crypto';
import { availableParallelism, hostname, networkInterfaces } from 'node:os';

/** The properties of this machine on which defaults depend. */
export interface Machine {
  readonly cores: number;
  /** Free memory, within the limits of a container. */
  readonly availableBytes: number;
  readonly hostname: string;
  /** The first IPv4 address that is not loopback, else the first such IPv6 address, else null. */
  readonly outsideAddress: string | null;
  /** Default name of a process: host name and a random suffix. */
  readonly processName: string;
}

/** Reads the properties of this machine. */
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
