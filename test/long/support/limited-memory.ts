import { execFileSync } from 'node:child_process';

/** Processes that see a limit on their memory, as in a container, without root. */

/** Hides the system's control groups, in a mount namespace of its own, behind a limit that both versions of their files state. */
const SCRIPT = `
set -e
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/memory
for file in memory.max memory.high memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes; do
  echo "$SHOAL_TEST_MEMORY_LIMIT" >"/sys/fs/cgroup/$file"
done
exec "$@"`;

/** The beginning of a command whose process takes its memory to be limited to this many bytes. The kernel does not enforce it. */
export function limitedMemory(bytes: number): string[] {
  return [
    'env',
    `SHOAL_TEST_MEMORY_LIMIT=${bytes}`,
    'unshare',
    '--user',
    '--map-root-user',
    '--mount',
    'sh',
    '-c',
    SCRIPT,
    'sh',
  ];
}

/** Why no process can be given such a limit on this machine; null if one can. */
export function memoryLimitMissing(): string | null {
  const bytes = 2 ** 28;
  const [program, ...args] = [...limitedMemory(bytes), process.execPath, '-p', 'process.constrainedMemory()'];
  try {
    const seen = execFileSync(program!, args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    return Number(seen) === bytes ? null : `a process with a limit of ${bytes} bytes sees ${seen}`;
  } catch (error) {
    return `this machine gives no namespaces to its users: ${error instanceof Error ? error.message : error}`;
  }
}
