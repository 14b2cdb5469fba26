import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Traces of the addresses that processes contact, by strace. */

/** Why processes cannot be traced on this machine; null if they can. Installs strace where that is allowed. */
export async function straceMissing(): Promise<string | null> {
  const script = fileURLToPath(new URL('strace.sh', import.meta.url));
  try {
    await promisify(execFile)(script);
    return null;
  } catch (error) {
    const { code, stdout = '', stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (code !== 3) throw new Error(`test/support/strace.sh: exit code ${code}: ${stderr}`);
    return stdout.trim().split('\n').at(-1) ?? '';
  }
}

/** The arguments of strace with which it writes to `file` whom a program and all its descendants contact. The program follows. */
export function traceArguments(file: string): string[] {
  return ['-f', '--seccomp-bpf', '-e', 'trace=connect,sendto,sendmsg,sendmmsg', '-s', '0', '-o', file];
}

const ADDRESS = /sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"/g;
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;
const DNS_PORT = 53;

/** The addresses beyond loopback that a trace names, and the name servers, wherever they are; as `address port`. */
export function strangersIn(trace: string): string[] {
  const found = [...trace.matchAll(ADDRESS)].filter(
    ([, port, address]) => !LOOPBACK.test(address!) || Number(port) === DNS_PORT,
  );
  return [...new Set(found.map(([, port, address]) => `${address} ${port}`))];
}

/** How many contacts over the network a trace names, loopback included. */
export function contactsIn(trace: string): number {
  return [...trace.matchAll(ADDRESS)].length;
}
