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
  /**
   * Random end of a process's default name. Users and metrics see that name, so it reveals nothing about the machine; operators also see the host name.
   */
  readonly nameEnd: string;
}

/** Reads the properties of this machine. */
export function readMachine(): Machine {
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal)
    .sort((a, b) => a.family.localeCompare(b.family));
  return {
    cores: availableParallelism(),
    availableBytes: process.availableMemory(),
    hostname: hostname(),
    outsideAddress: outside[0]?.address ?? null,
    nameEnd: randomBytes(4).toString('hex'),
  };
}
