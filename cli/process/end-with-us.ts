import { spawn } from 'node:child_process';

/** Ends a program that does not watch its parent when this process ends in any way. */

const WATCH = 'read -r line; kill "$1" 2>/dev/null';

/** Watches until the returned function is called, which must come before the process ID can belong to another process. */
export function endWithUs(pid: number): () => void {
  // The system closes the pipe with this process. In a group of its own: Ctrl-C in a terminal must not end the watcher first.
  const watcher = spawn('/bin/sh', ['-c', WATCH, 'shoal-watcher', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  watcher.unref();
  return () => void watcher.kill('SIGKILL');
}
