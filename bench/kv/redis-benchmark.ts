import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Commands per second as the program redis-benchmark measures them. */
export async function redisBenchmark(
  program: string,
  port: number,
  command: 'get' | 'set',
  { bytes, connections, commands }: { bytes: number; connections: number; commands: number },
): Promise<number> {
  const about = ['-t', command, '-d', String(bytes), '-c', String(connections), '-n', String(commands)];
  const { stdout } = await promisify(execFile)(program, ['-p', String(port), '--csv', ...about]);
  return perSecondOf(stdout, command);
}

/** The second column of the line of a command. */
function perSecondOf(csv: string, command: string): number {
  const line = csv.split('\n').find((each) => each.toLowerCase().startsWith(`"${command}"`));
  const value = Number(line?.split(',')[1]?.replaceAll('"', ''));
  if (value > 0) return value;
  throw new Error(`redis-benchmark printed ${JSON.stringify(csv.slice(0, 500))}`);
}
