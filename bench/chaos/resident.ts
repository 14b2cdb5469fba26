import { readFileSync } from 'node:fs';

const KIB_PER_MIB = 1024;

/** Resident memory of these processes of this machine together, in MiB. @throws Error if one has ended */
export function residentMib(pids: readonly number[]): number {
  const kib = pids.map((pid) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]));
  return kib.reduce((sum, one) => sum + one, 0) / KIB_PER_MIB;
}
