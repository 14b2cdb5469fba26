import { readdir, readFile, readlink } from 'node:fs/promises';
import { parseNatsUrl } from './nats-url.js';

/** Finds the process of the nats-server on this machine by the port on which it listens, in Linux's /proc. */

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** State of a listening socket in /proc/net/tcp. */
const LISTEN = '0A';

/** The process of the only server that `urls` names. Null if it is not on this machine, or has other servers beside it. */
export async function localNatsPid(urls: string): Promise<number | null> {
  if (urls.includes(',')) return null;
  const { hostname, port } = parseNatsUrl(urls.trim());
  return LOOPBACK.test(hostname) ? listeningProcess(Number(port || 4222)) : null;
}

/** Null if no process that this user may see listens there, or if the system has no /proc. */
async function listeningProcess(port: number): Promise<number | null> {
  const inodes = (await Promise.all(['tcp', 'tcp6'].map((table) => listeners(table, port)))).flat();
  if (inodes.length === 0) return null;
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry) && (await hasSocket(entry, wanted))) return Number(entry);
  }
  return null;
}

/** Inodes of the sockets that listen on a port. Columns of the table: number, local address, remote address, state, …, inode. */
async function listeners(table: string, port: number): Promise<string[]> {
  const text = await readFile(`/proc/net/${table}`, 'utf8').catch(() => '');
  const rows = text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return rows.flatMap((row) => (row[1]?.endsWith(`:${hex}`) && row[3] === LISTEN ? [row[9] ?? ''] : []));
}

/** False for a process that has ended, or that this user may not look into. */
async function hasSocket(pid: string, wanted: ReadonlySet<string>): Promise<boolean> {
  const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')));
  return targets.some((target) => wanted.has(target));
}
