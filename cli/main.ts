#!/usr/bin/env node
import { exit } from './exit.js';
import { run } from './program.js';

/** Entry point of the program `shoal`. */

const code = await run(process.argv.slice(2), {
  environment: process.env,
  io: { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) },
});
// Setting `exitCode` is not enough: a handle that a library left open would keep a finished command alive. Flush pipes first.
process.stdout.write('', () => process.stderr.write('', () => exit(code)));
