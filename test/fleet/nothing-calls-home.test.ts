import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FleetApi } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import type { UpReady } from '../../bench/running-fleet.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { contactsIn, straceMissing, strangersIn, traceArguments } from '../support/strace.js';
import { CLI } from './support/fleet.js';

const untraceable = await straceMissing();
if (untraceable !== null) console.warn(`No process is traced: ${untraceable}`);

const nats = await findNatsServer();
/** Loads ONNX Runtime in a worker thread, whose environment is a copy. */
const LOADED_IN_A_THREAD = `
const { Worker } = require('node:worker_threads');
const runtime = ${JSON.stringify(fileURLToPath(new URL('../../dist/src/ort/runtime.js', import.meta.url)))};
new Worker("import(" + JSON.stringify(runtime) + ").then(({ OrtRuntime }) => OrtRuntime.open().release())", { eval: true });
`;
/** Loads it as a program that does not belong to shoal. */
const LOADED_BY_OTHERS = `require('onnxruntime-node').InferenceSession.create('nowhere').catch(() => {});`;
const ACTORS = 'export const square = (value) => value * value;';
const PROGRAM = `
import { connect } from 'shoal';
import { square } from './actors.js';
const fleet = await connect();
console.log(await fleet.task(square)(7));
await fleet.close();
`;

let dir: string;
let trace: string;

/** The folders that a library may use without being asked to: all of them are empty at the start of a test. */
const folder = (name: string) => join(dir, name);
const FOLDERS = ['home', 'cache', 'temporary', 'work'] as const;

function environment(): NodeJS.ProcessEnv {
  // ONNX Runtime reports nothing where one of these says that it is being tested.
  const { CI, ORT_RUNNING_UNIT_TESTS, ORT_DISABLE_TELEMETRY, XDG_RUNTIME_DIR, ...kept } = process.env;
  return {
    ...kept,
    HOME: folder('home'),
    XDG_CACHE_HOME: folder('cache'),
    TMPDIR: folder('temporary'),
    SHOAL_NATS_SERVER: nats.path,
    NODE_PATH: fileURLToPath(new URL('../../node_modules', import.meta.url)),
  };
}

/** Starts Node in the empty folders, traced if this machine can. */
function started(args: readonly string[]): ChildProcess {
  const command = [process.execPath, ...args];
  const [program, ...rest] = untraceable === null ? ['strace', ...traceArguments(trace), ...command] : command;
  return spawn(program!, rest, { cwd: folder('work'), env: environment(), stdio: ['ignore', 'pipe', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<number | null> {
  child.stdout?.resume();
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

/** All files in the folders of the test. */
function leftFiles(): string[] {
  return FOLDERS.flatMap((name) =>
    readdirSync(folder(name), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1)),
  );
}

function traced(): string {
  return readFileSync(trace, 'utf8');
}

describe('nothing calls home', () => {
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-home-'));
    trace = join(dir, 'trace');
    for (const name of FOLDERS) mkdirSync(folder(name));
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('in a fleet that answers: no process contacts anything but loopback, asks for a name, or leaves a file', async () => {
    const up = started([CLI, 'up', '--json', '--port', '0', '--workers', '2']);
    const [line] = (await once(createInterface({ input: up.stdout! }), 'line')) as [string];
    const { url, pid } = JSON.parse(line) as UpReady;
    try {
      const sheet = recallSheet(8, 3);
      const [asked] = sheet.questions;
      const answer = await new FleetApi(url).complete({ prompt: recallPrompt(sheet, asked!.question) });
      expect(answer.choices[0]?.text).toContain(asked!.answer);
    } finally {
      process.kill(pid, 'SIGINT');
      await ended(up);
    }
    expect(leftFiles()).toEqual([]);
    if (untraceable !== null) return;
    expect(contactsIn(traced())).toBeGreaterThan(3);
    expect(strangersIn(traced())).toEqual([]);
  });

  it('in a node, and a program that uses its actors', async () => {
    const code = folder('code');
    mkdirSync(join(code, 'node_modules'), { recursive: true });
    symlinkSync(fileURLToPath(new URL('../..', import.meta.url)), join(code, 'node_modules', 'shoal'));
    writeFileSync(join(code, 'package.json'), '{"type":"module"}');
    writeFileSync(join(code, 'actors.js'), ACTORS);
    writeFileSync(join(code, 'app.js'), PROGRAM);
    const run = started([CLI, 'run', join(code, 'app.js'), '--actors', join(code, 'actors.js')]);
    let printed = '';
    run.stdout!.on('data', (text) => {
      printed += text;
    });
    expect(await ended(run)).toBe(0);
    expect(printed).toBe('49\n');
    expect(leftFiles()).toEqual([]);
    if (untraceable !== null) return;
    expect(contactsIn(traced())).toBeGreaterThan(0);
    expect(strangersIn(traced())).toEqual([]);
  });

  it('in the doctor', async () => {
    expect(await ended(started([CLI, 'doctor', '--json']))).toBe(0);
    expect(leftFiles()).toEqual([]);
    if (untraceable === null) expect(strangersIn(traced())).toEqual([]);
  });

  it('in a worker thread that loads the library', async () => {
    expect(await ended(started(['-e', LOADED_IN_A_THREAD]))).toBe(0);
    expect(leftFiles()).toEqual([]);
  });

  it('is seen by these tests where it does happen', async () => {
    await ended(started(['-e', LOADED_BY_OTHERS]));
    expect(leftFiles()).toContainEqual(expect.stringMatching(/mat-debug/));
  });

  it.skipIf(untraceable !== null)('is seen in a trace where it does happen', async () => {
    const [host, port] = ['192.0.2.1', 9];
    await ended(started(['-e', `require('dgram').createSocket('udp4').send('', ${port}, '${host}', process.exit)`]));
    expect(strangersIn(traced())).toEqual([`${host} ${port}`]);
    const lookup = "require('dns').lookup('shoal.invalid', process.exit.bind(null, 0))";
    await ended(started(['-e', lookup]));
    expect(strangersIn(traced())).toContainEqual(expect.stringMatching(/ 53$/));
  });
});
