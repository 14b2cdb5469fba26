import { readFileSync } from 'node:fs';

const KIB_PER_MIB = 1024;

/** Resident memory of these processes of this machine together, in MiB. @throws Error if one has ended */
export function residentMib(pids: readonly number[]): number {
  const kib = pids.map((pid) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]));
  return kib.reduce((sum, one) => sum + one, 0) / KIB_PER_MIB;
}

/** A process of this machine, and the name of its program, or of what set another name. */
export interface NamedProcess {
  readonly pid: number;
  readonly name: string;
}

/** A process and all its descendants. One that ends meanwhile may be missing. */
export function processTree(pid: number): NamedProcess[] {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    return [{ pid, name }, ...children.flatMap((child) => processTree(Number(child)))];
  } catch {
    return [];
  }
}
