#!/usr/bin/env node
import { OPEN_FILES_NEEDED, openFilesFault } from '../src/open-files.js';
import { exit } from './exit.js';

/** Entry point of the program `shoal`. */

const code = await start();
// Setting `exitCode` is not enough: a handle that a library left open would keep a finished command alive. Flush pipes first.
process.stdout.write('', () => process.stderr.write('', () => exit(code)));

async function start(): Promise<number> {
  // With too few file descriptors, loading the program would fail with an error that names some module.
  const fault = openFilesFault(OPEN_FILES_NEEDED);
  if (fault !== null) {
    process.stderr.write(`shoal: ${fault}\n`);
    return 1;
  }
  const { run } = await import('./program.js');
  return run(process.argv.slice(2), {
    environment: process.env,
    io: { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) },
  });
}
