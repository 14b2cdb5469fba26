import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { Refused } from '../../../src/errors.js';

/** The data of this machine about one of its processes. */
export interface LocalProcess {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** The variables it was started with, as `NAME=value`. */
  readonly environment: readonly string[];
  /** Whether it shares this process's PID namespace, unlike a container's process. */
  readonly sameNamespace: boolean;
}

const ROLE = 'worker';
const ID_FLAG = '--worker-id';
const ID_VARIABLE = 'SHOAL_WORKER_ID';

/**
 * The process with an id of this machine; null if there is none.
 * @throws Refused if this user may not read it
 */
export async function readProcess(pid: number): Promise<LocalProcess | null> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  if (process.platform !== 'linux') return readListed(pid);
  try {
    const [command, environment, namespace, own] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
      readFile(`/proc/${pid}/environ`, 'utf8'),
      readlink(`/proc/${pid}/ns/pid`),
      readlink('/proc/self/ns/pid'),
    ]);
    return { command: fields(command), environment: fields(environment), sameNamespace: namespace === own };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw new Refused(`cannot read process ${pid}: ${message}; run shoal chaos as the user of the fleet`);
  }
}

function fields(text: string): string[] {
  return text.split('\0').slice(0, -1);
}

/** macOS has no PID namespaces, and its containers run in a virtual machine. There `ps` prints the command and then the variables. */
async function readListed(pid: number): Promise<LocalProcess | null> {
  const listed = await promisify(execFile)('ps', ['-E', '-ww', '-o', 'command=', '-p', String(pid)]).catch(() => null);
  const words = listed?.stdout.split(/\s+/).filter((word) => word !== '') ?? [];
  return words.length === 0 ? null : { command: words, environment: words, sameNamespace: true };
}

/** Whether a process is the worker of shoal with this id, by the id that a flag or a variable gave it. A flag wins, as in the worker. */
export function isWorker({ command, environment }: LocalProcess, id: string): boolean {
  const script = command.findIndex(isShoal);
  if (script < 0 || command[script + 1] !== ROLE) return false;
  const options = command.slice(script + 2);
  const flag = options.findLastIndex((word) => word === ID_FLAG || word.startsWith(`${ID_FLAG}=`));
  if (flag < 0) return environment.includes(`${ID_VARIABLE}=${id}`);
  return options[flag] === `${ID_FLAG}=${id}` || (options[flag] === ID_FLAG && options[flag + 1] === id);
}

/** Whether an argument is the program `shoal` or the script behind it. */
function isShoal(path: string): boolean {
  const name = basename(path);
  return name === 'shoal' || (name === 'main.js' && basename(dirname(path)) === 'cli');
}
