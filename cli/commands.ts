import { CHAOS_OPTIONS } from '../src/config/chaos-options.js';
import { COST_OPTIONS } from '../src/config/cost-options.js';
import type { Command as CommandName, OptionTable } from '../src/config/option.js';
import { OPTIONS } from '../src/config/options.js';
import { packageVersion } from '../src/config/package-root.js';
import { PRINT_OPTIONS } from '../src/config/print-options.js';
import { SYNTH_OPTIONS } from '../src/config/synth-options.js';
import { benchArguments } from './bench-names.js';
import type { CommandRun } from './context.js';

/** All commands. */

export interface CommandSpec {
  readonly name: CommandName | 'version' | 'options';
  readonly argument?: readonly [name: string, help: string];
  readonly help: string;
  readonly options: OptionTable;
  /** Not shown in the help: for developers of shoal. */
  readonly hidden?: true;
  /** Loads the command. Loading on demand keeps the start of each command independent of the others' imports. */
  readonly load: () => Promise<CommandRun>;
}

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'up',
    help: 'Start NATS, coordinators and workers on this machine. Ctrl-C stops them.',
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
    help: "Run one worker: it runs the model and keeps its share of the fleet's K/V blocks.",
    options: OPTIONS,
    load: async () => (await import('./roles.js')).worker,
  },
  {
    name: 'node',
    help: 'Run one node without a model: it hosts the actors and tasks of the modules in --actors.',
    options: OPTIONS,
    load: async () => (await import('./roles.js')).node,
  },
  {
    name: 'run',
    argument: ['<program...>', 'a JavaScript program, which calls connect(), and its arguments'],
    help: 'Run a program against a fleet. Without --nats, it gets a fleet of its own with one node that hosts --actors.',
    options: OPTIONS,
    load: async () => (await import('./run.js')).run,
  },
  {
    name: 'list',
    argument: ['<kind>', 'nodes, actors, tasks, groups or objects'],
    help: 'Show the nodes of a fleet, or the actors, tasks, bundles of groups or objects on them.',
    options: OPTIONS,
    load: async () => (await import('./list.js')).list,
  },
  {
    name: 'inspect',
    argument: ['<actor>', 'name or id of an actor'],
    help: 'Show everything that is known of an actor.',
    options: OPTIONS,
    load: async () => (await import('./list.js')).inspect,
  },
  {
    name: 'logs',
    argument: ['<actor>', 'name or id of an actor'],
    help: "Show an actor's console output, from all nodes where it ran. With -f, follow new output.",
    options: OPTIONS,
    load: async () => (await import('./logs.js')).logs,
  },
  {
    name: 'status',
    help: 'Show the workers of a fleet.',
    options: OPTIONS,
    load: async () => (await import('./status.js')).status,
  },
  {
    name: 'health',
    help: 'Check whether a coordinator or worker is ready. The exit code is 0 if it is, else 1.',
    options: OPTIONS,
    load: async () => (await import('./health.js')).health,
  },
  {
    name: 'drain',
    argument: ['<worker>', 'id of the worker'],
    help: "Make a worker hand its blocks over, and wait until it can end without the loss of a request or of a block's last copy.",
    options: OPTIONS,
    load: async () => (await import('./drain.js')).drain,
  },
  {
    name: 'undrain',
    argument: ['<worker>', 'id of the worker'],
    help: 'Make a drained worker serve again.',
    options: OPTIONS,
    load: async () => (await import('./drain.js')).undrain,
  },
  {
    name: 'explain',
    argument: ['<prompt>', 'the prompt'],
    help: 'Show where each block of a prompt is, and the reason for each miss.',
    options: OPTIONS,
    load: async () => (await import('./explain.js')).explain,
  },
  {
    name: 'console',
    help: 'Print the address of the console, a page that shows the fleet live, and open it where there is a desktop.',
    options: OPTIONS,
    load: async () => (await import('./console.js')).openConsolePage,
  },
  {
    name: 'bench',
    argument: ['<name...>', benchArguments()],
    help: 'Run a benchmark, and its baseline in the same run.',
    options: OPTIONS,
    load: async () => (await import('./bench.js')).bench,
  },
  {
    name: 'chaos',
    argument: ['[faults...]', 'names from --list; all faults if there are none'],
    help: 'Inject faults into fleets of its own, or with --url into a running one, and show whether they survive.',
    options: CHAOS_OPTIONS,
    load: async () => (await import('./chaos.js')).chaos,
  },
  {
    name: 'model synth',
    help: 'Write a model folder of any shape with seeded random weights, for benchmarks.',
    options: SYNTH_OPTIONS,
    load: async () => (await import('./model-synth.js')).modelSynth,
  },
  {
    name: 'model check',
    argument: ['<model>', 'a folder, or an id on the hub'],
    help: 'Show what a model is, and whether its numbers are the same however it is run. The exit code is 1 if they are not.',
    options: OPTIONS,
    load: async () => (await import('./model-check.js')).modelCheck,
  },
  {
    name: 'model pull',
    argument: ['<id>', 'the id on the hub: org/name or org/name@revision'],
    help: "Download a model of the hub into the hub's cache, or continue to.",
    options: OPTIONS,
    load: async () => (await import('./model-pull.js')).modelPull,
  },
  {
    name: 'model list',
    help: "Show the models in the hub's cache.",
    options: OPTIONS,
    load: async () => (await import('./model-list.js')).modelList,
  },
  {
    name: 'model rm',
    argument: ['<id>', 'the id on the hub; with @revision, that revision alone'],
    help: "Remove a model from the hub's cache.",
    options: OPTIONS,
    load: async () => (await import('./model-rm.js')).modelRemove,
  },
  {
    name: 'model info',
    argument: ['<model>', 'a folder, or an id on the hub'],
    help: 'Show which graphs a model has, which one would be taken, and how large it is.',
    options: OPTIONS,
    load: async () => (await import('./model-info.js')).modelInfo,
  },
  {
    name: 'adapter add',
    argument: ['<name and source...>', 'the name for clients, and a file .onnx_adapter or a folder of PEFT'],
    help: 'Check a LoRA adapter against a model, convert it, and put it into the folder of adapters.',
    options: OPTIONS,
    load: async () => (await import('./adapter-add.js')).adapterAdd,
  },
  {
    name: 'adapter list',
    help: 'Show the adapters in the folder.',
    options: OPTIONS,
    load: async () => (await import('./adapter-list.js')).adapterList,
  },
  {
    name: 'adapter rm',
    argument: ['<name>', 'the name of the adapter'],
    help: 'Remove an adapter from the folder.',
    options: OPTIONS,
    load: async () => (await import('./adapter-list.js')).adapterRemove,
  },
  {
    name: 'config print',
    argument: ['[role]', 'up, coordinator, worker or node; up by default'],
    help: 'Show the options of a role as a file for --config, and where the value of each comes from.',
    options: PRINT_OPTIONS,
    load: async () => (await import('./config-print.js')).configPrint,
  },
  {
    name: 'debug bundle',
    help: 'Write versions, configuration, state, metrics and logs into one file for somebody who helps, without secrets.',
    options: OPTIONS,
    load: async () => (await import('./bundle.js')).bundle,
  },
  {
    name: 'cost',
    argument: [
      '<trace>',
      'a file of requests, or heads, flood, rounds or documents; or the address of a coordinator, for what its fleet measured',
    ],
    help: 'Show how much computing shared blocks save, how the share of hits depends on memory, and whether sharing pays.',
    options: COST_OPTIONS,
    load: async () => (await import('./cost.js')).cost,
  },
  {
    name: 'plan',
    argument: ['<trace>', 'a file of requests, or heads, flood, rounds or documents'],
    help: 'Recommend the workers, their memory and the replicas for a trace of requests.',
    options: COST_OPTIONS,
    load: async () => (await import('./plan.js')).plan,
  },
  {
    name: 'doctor',
    help: 'Check the requirements on this machine, and show how to fix missing ones.',
    options: OPTIONS,
    load: async () => (await import('./doctor.js')).doctor,
  },
  {
    name: 'nats-users',
    help: "Print the users of a fleet, and their rights, for the configuration of one's own nats-server.",
    options: OPTIONS,
    load: async () => (await import('./nats/users.js')).natsUsers,
  },
  {
    name: 'nats-buckets',
    help: "Create a fleet's buckets on one's own nats-server, as a coordinator does, for nodes that run without one.",
    options: OPTIONS,
    load: async () => (await import('./nats/create-buckets.js')).natsBuckets,
  },
  {
    name: 'key',
    argument: ['[id]', 'id and tenant of the key; a random id if there is none'],
    help: 'Make a random API key, and its entry for a keys file, which holds only its digest.',
    options: OPTIONS,
    load: async () => (await import('./key.js')).key,
  },
  {
    name: 'audit',
    help: 'Show entries of an audit log: who asked for what, and who was refused.',
    options: OPTIONS,
    load: async () => (await import('./audit.js')).audit,
  },
  {
    name: 'kv export',
    argument: ['<file>', 'the file to write, which must not exist'],
    help: 'Write the objects of a fleet into a file, or continue to. The file is there once it is complete.',
    options: OPTIONS,
    load: async () => (await import('./kv/export.js')).kvExport,
  },
  {
    name: 'kv import',
    argument: ['<file>', 'a file that kv export has written'],
    help: 'Write the objects of a file into a fleet, or continue to. Every digest is checked.',
    options: OPTIONS,
    load: async () => (await import('./kv/import.js')).kvImport,
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
    help: 'Print the table of options for docs/OPTIONS.md.',
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
