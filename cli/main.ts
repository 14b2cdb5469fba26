#!/usr/bin/env node
import { run } from './program.js';

/** The program `shoal`. */

const code = await run(process.argv.slice(2), {
  environment: process.env,
  io: { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text) },
});
// Not `exitCode`: what a library left open must not keep a finished command alive. Output to a pipe is written first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
