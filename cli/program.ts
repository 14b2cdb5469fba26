import { Command, CommanderError, Option } from 'commander';
import { withConfigFile } from '../src/config/config-file.js';
import { serviceVariables } from '../src/config/kubernetes.js';
import { packageVersion } from '../src/config/package-root.js';
import type { Flags } from '../src/config/read-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { COMMANDS, type CommandSpec } from './commands.js';
import type { CommandContext } from './context.js';
import { handedEnvironment, handedFile } from './handed-file.js';

/** The way from command-line arguments to an exit code; knows commander. */

type World = Pick<CommandContext, 'environment' | 'io'>;

/** Runs one command line. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage. Never rejects. */
export async function run(argv: readonly string[], world: World): Promise<number> {
  let code = 0;
  const program = build(world, (exitCode) => {
    code = exitCode;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    world.io.err(`shoal: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof WrongUsage ? 2 : 1;
  }
}

function build(world: World, done: (code: number) => void): Command {
  const program = new Command('shoal')
    .description('A fleet of workers that share the K/V of prompt prefixes.')
    .version(packageVersion(), '-V, --version', 'Show the version.')
    .helpOption('-h, --help', 'Show this help.')
    .helpCommand('help [command]', 'Show the help of a command.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => world.io.out(text),
      writeErr: (text) => world.io.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'shoal: ')),
    });
  const groups: Readonly<Record<string, Command>> = {
    config: program.command('config').description('Show options.'),
    debug: program.command('debug').description('Collect what somebody who helps needs.'),
    adapter: program.command('adapter').description('Add, show and remove LoRA adapters.'),
    kv: program.command('kv').description('Back the objects of a fleet up, and restore them.'),
    model: program.command('model').description('Download, show, check, remove and make models.'),
  };
  for (const spec of COMMANDS) add(groups[spec.name.split(' ')[0]!] ?? program, spec, world, done);
  return program;
}

function add(parent: Command, spec: CommandSpec, world: World, done: (code: number) => void): void {
  const command = parent.command(spec.name.split(' ').at(-1)!, { hidden: spec.hidden ?? false }).description(spec.help);
  if (spec.argument) command.argument(...spec.argument);
  for (const option of Object.values(spec.options)) {
    if (option.flag === null || !(option.commands as readonly string[]).includes(spec.name)) continue;
    const preset = option.defaultNote ?? option.default;
    const text = `${option.help}${preset === null ? '' : ` Default: ${preset}.`} [${option.variable}]`;
    command.addOption(
      new Option(
        `${option.short === undefined ? '' : `-${option.short}, `}--${option.flag}${option.placeholder === null ? '' : ` <${option.placeholder}>`}`,
        text,
      ),
    );
  }
  command.action(async () => {
    const execute = await spec.load();
    const given = command.opts<Record<string, unknown>>();
    const { config, ...rest } = given;
    const flags = spec.options.config === undefined ? given : rest;
    const own = withoutServices(spec, world);
    done(await execute({ ...world, ...withFile(spec, config, own, flags), flags, args: command.args }));
  });
}

/** The environment with the options of the file that `--config` names. Children get them as variables, and the name of the file for their reload. */
function withFile(
  { name, options }: CommandSpec,
  flag: unknown,
  environment: World['environment'],
  flags: Flags,
): Pick<CommandContext, 'environment' | 'reread'> {
  const { SHOAL_CONFIG: variable, ...rest } = environment;
  const path = typeof flag === 'string' ? flag : variable?.trim();
  const takesFile = options.config?.commands.some((command) => command === name) ?? false;
  if (!takesFile || !path) {
    const reread = handedEnvironment(options, environment);
    return reread === null ? { environment } : { environment, reread };
  }
  const handed = name === 'up' ? handedFile(path, options, flags, rest) : {};
  const reread = () => ({ ...withConfigFile(path, options, rest), ...handed });
  return { environment: reread(), reread };
}

/** The environment without the values that Kubernetes gave to variables of options, which is logged in one line. */
function withoutServices({ name, options }: CommandSpec, { environment, io }: World): World['environment'] {
  const services = serviceVariables(options, environment);
  const named = Object.entries(services).map(([variable, value]) => `${variable}=${value}`);
  if (named.length === 0) return environment;
  const what = `ignoring ${named.join(', ')}: Kubernetes sets such values for a Service; to stop it, set enableServiceLinks: false in the pod`;
  const line = { level: 'warn', time: new Date().toISOString(), role: name, msg: what };
  io.err(
    name === 'coordinator' || name === 'worker' || name === 'node' ? `${JSON.stringify(line)}\n` : `shoal: ${what}\n`,
  );
  return Object.fromEntries(Object.entries(environment).filter(([variable]) => !(variable in services)));
}
