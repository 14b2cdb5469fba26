import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { SystemClock } from '../src/clock.js';
import { clusterSecret } from '../src/config/cluster-secret.js';
import { readValues } from '../src/config/config.js';
import { OPTIONS, type Values } from '../src/config/options.js';
import { inheritedVariables, withoutOptions } from '../src/config/read-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { Lifecycle } from '../src/lifecycle.js';
import type { CommandContext } from './context.js';
import { signalCode } from './exit.js';
import { ENDING_SIGNALS } from './interrupts.js';
import { startNatsServer } from './nats/embedded-server.js';
import { natsProgram } from './nats/nats-process.js';
import { natsUser } from './nats/users.js';
import { Child } from './process/child.js';
import { endWithUs } from './process/end-with-us.js';

/** `shoal run`: runs a program against a fleet, with its own node if modules are given, and its own NATS server if no address is given. */

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const SECRET_BYTES = 24;

type Variables = Record<string, string>;

/** Resolves with the exit code of the program. */
export async function run(context: CommandContext): Promise<number> {
  const values = readValues('run', context);
  if (values.nats === null && values.actors === null) {
    throw new WrongUsage(
      '--actors (SHOAL_ACTORS): must name a module to host, or --nats (SHOAL_NATS) a fleet, got neither',
    );
  }
  const life = new Lifecycle();
  try {
    const access = await fleetOf(life, values, context);
    if (values.actors !== null) await startNode(life, access, context);
    return await ran(context, { ...environmentOf(context), ...access });
  } finally {
    await life.stop();
  }
}

/** The variables by which processes find the fleet. Starts a NATS server if none is given. */
async function fleetOf(life: Lifecycle, values: Values, context: CommandContext): Promise<Variables> {
  const given = inheritedVariables(OPTIONS, 'run', 'run', context.flags, context.environment);
  // Only the node has them.
  for (const key of ['actors', 'resources', 'visibleDevices', 'natsServer'] as const)
    delete given[OPTIONS[key].variable];
  given.SHOAL_LOG_LEVEL ??= 'warn';
  if (values.nats !== null) return given;
  const path = await natsProgram(values.natsServer, (line) => context.io.err(`${line}\n`));
  // No one else uses this server.
  const server = life.use(await startNatsServer({ path, users: [natsUser('node', null)] }), (running) =>
    running.stop(),
  );
  const { url, user, password } = server;
  const secret = clusterSecret(values) ?? randomBytes(SECRET_BYTES).toString('hex');
  return { ...given, SHOAL_NATS: url, SHOAL_NATS_USER: user, SHOAL_NATS_PASSWORD: password, SHOAL_SECRET: secret };
}

async function startNode(life: Lifecycle, access: Variables, context: CommandContext): Promise<void> {
  const own = inheritedVariables(OPTIONS, 'run', 'node', context.flags, context.environment);
  const child = new Child({
    name: 'the node',
    script: MAIN,
    args: ['node'],
    environment: { ...environmentOf(context), ...own, ...access },
    onLine: (line) => context.io.err(`${line}\n`),
  });
  life.use(child, (running) => running.stop(new SystemClock()));
  await child.ready;
}

/** The environment without options: what processes get of those is passed on purpose. */
function environmentOf({ environment }: CommandContext): Variables {
  return withoutOptions(OPTIONS, environment);
}

/** Runs the program with the terminal of this process. Signals end the program, and with it this command. */
function ran({ args }: CommandContext, environment: Variables): Promise<number> {
  const program: ChildProcess = spawn(process.execPath, [...args], { env: environment, stdio: 'inherit' });
  const stopWatching = program.pid === undefined ? () => undefined : endWithUs(program.pid);
  const forward = (signal: NodeJS.Signals) => void program.kill(signal);
  for (const signal of ENDING_SIGNALS) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    program.once('error', reject);
    program.once('exit', (code, signal) => resolve(code ?? signalCode(signal!)));
  }).finally(() => {
    stopWatching();
    for (const signal of ENDING_SIGNALS) process.off(signal, forward);
  }) as Promise<number>;
}
