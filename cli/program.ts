import { Command, CommanderError, Option } from 'commander';
import type { Command as CommandName, OptionTable } from '../src/config/option.js';
import { OPTIONS } from '../src/config/options.js';
import { packageVersion } from '../src/config/package-root.js';
import { SYNTH_OPTIONS } from '../src/config/synth-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { CommandContext, CommandRun } from './context.js';

interface CommandSpec {
  readonly name: CommandName | 'version' | 'options';
  readonly argument?: readonly [name: string, help: string];
  readonly help: string;
  readonly options: OptionTable;
  /** Left out of the help: for those who work on shoal. */
  readonly hidden?: true;
  /** Commands are loaded when they run, so that none waits for what another one needs. */
  readonly load: () => Promise<CommandRun>;
}

const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'up',
    help: 'Start NATS, a coordinator and workers on this machine. Ctrl-C stops them.',
    options: OPTIONS,
    load: async () => (await import('./up.js')).up,
  },
  {
    name: 'coordinator',
    help: 'Run one coordinator: the HTTP API of a fleet.',
    options: OPTIONS,
    load: async () => (await import('./roles.js')).coordinator,
  },
  {
    name: 'worker',
    help: "Run one worker: it runs the model and holds its part of the fleet's memory.",
    options: OPTIONS,
    load: async () => (await import('./roles.js')).worker,
  },
  {
    name: 'status',
    help: 'Show the workers of a fleet.',
    options: OPTIONS,
    load: async () => (await import('./status.js')).status,
  },
  {
    name: 'health',
    help: 'Ask a coordinator or worker whether it can do its work. Exit code 0 if so, else 1.',
    options: OPTIONS,
    load: async () => (await import('./health.js')).health,
  },
  {
    name: 'explain',
    argument: ['<prompt>', 'the prompt'],
    help: 'Show which blocks of a prompt are where, and why a miss is a miss.',
    options: OPTIONS,
    load: async () => (await import('./explain.js')).explain,
  },
  {
    name: 'bench',
    argument: ['<name>', 'peer, ttft, decode or batch'],
    help: 'Measure, beside the bare thing in the same run.',
    options: OPTIONS,
    load: async () => (await import('./bench.js')).bench,
  },
  {
    name: 'model synth',
    help: 'Make a model folder of any shape with seeded random weights, for measuring.',
    options: SYNTH_OPTIONS,
    load: async () => (await import('./model-synth.js')).modelSynth,
  },
  {
    name: 'doctor',
    help: 'Look at what shoal needs of this machine, and say how to get what is missing.',
    options: OPTIONS,
    load: async () => (await import('./doctor.js')).doctor,
  },
  {
    name: 'version',
    help: 'Show the version.',
    options: {},
    load: async () => async (context) => {
      context.io.out(`${packageVersion()}\n`);
      return 0;
    },
  },
  {
    name: 'options',
    help: 'Print the table of options for the README.',
    options: {},
    hidden: true,
    load: async () => {
      const { optionsMarkdown } = await import('../src/config/options-markdown.js');
      return async (context) => {
        context.io.out(`${optionsMarkdown()}\n`);
        return 0;
      };
    },
  },
];

/** Runs one command line. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage. Never rejects. */
export async function run(argv: readonly string[], world: Pick<CommandContext, 'environment' | 'io'>): Promise<number> {
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

function build(world: Pick<CommandContext, 'environment' | 'io'>, done: (code: number) => void): Command {
  const program = new Command('shoal')
    .description('A fleet of workers that act as one memory for the K/V of prompt prefixes.')
    .version(packageVersion(), '-V, --version', 'Show the version.')
    .helpOption('-h, --help', 'Show this help.')
    .helpCommand('help [command]', 'Show the help of a command.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => world.io.out(text),
      writeErr: (text) => world.io.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'shoal: ')),
    });
  const model = program.command('model').description('Make models.');
  for (const spec of COMMANDS) add(spec.name === 'model synth' ? model : program, spec, world, done);
  return program;
}

function add(
  parent: Command,
  spec: CommandSpec,
  world: Pick<CommandContext, 'environment' | 'io'>,
  done: (code: number) => void,
): void {
  const command = parent.command(spec.name.split(' ').at(-1)!, { hidden: spec.hidden ?? false }).description(spec.help);
  if (spec.argument) command.argument(...spec.argument);
  for (const option of Object.values(spec.options)) {
    if (option.flag === null || !(option.commands as readonly string[]).includes(spec.name)) continue;
    const preset = option.defaultNote ?? option.default;
    const text = `${option.help}${preset === null ? '' : ` Default: ${preset}.`} [${option.variable}]`;
    command.addOption(
      new Option(`--${option.flag}${option.placeholder === null ? '' : ` <${option.placeholder}>`}`, text),
    );
  }
  command.action(async () => {
    const execute = await spec.load();
    done(await execute({ ...world, flags: command.opts(), args: command.args }));
  });
}
