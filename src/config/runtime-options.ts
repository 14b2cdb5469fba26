import { type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** The options of processes that host users' code. */

/** Limit on the modules of one process. */
const MODULES = 64;

export const RUNTIME_OPTIONS = {
  actors: option({
    flag: 'actors',
    variable: 'SHOAL_ACTORS',
    placeholder: 'FILE,...',
    type: types.listOf(MODULES, 'paths of modules', /^[^\0]{1,4096}$/),
    default: null,
    defaultNote: 'none: the process hosts no code of users',
    commands: ['up', 'worker', 'node', 'run'],
    help: 'JavaScript modules whose exported classes and functions this process hosts; with up, each worker. They run with all its rights.',
  }),
  nodeId: option({
    flag: 'node-id',
    variable: 'SHOAL_NODE_ID',
    placeholder: 'ID',
    type: types.plainName,
    default: null,
    defaultNote: 'node- and random digits',
    commands: ['node'],
    help: 'Name of the node.',
  }),
  resources: option({
    flag: 'resources',
    variable: 'SHOAL_RESOURCES',
    placeholder: 'NAME=AMOUNT,...',
    type: types.listOf(
      32,
      'resources such as cpu=4, memory=8GiB or shelf=2',
      /^[A-Za-z][A-Za-z0-9_-]{0,63}=[0-9.]+[A-Za-z]*$/,
    ),
    default: null,
    defaultNote: 'cpu: the number of processors, memory: the free memory, gpu: the number of --visible-devices',
    commands: ['worker', 'node', 'run'],
    help: 'What this process offers to actors and tasks, in addition to or in place of the defaults.',
  }),
  visibleDevices: option({
    flag: 'visible-devices',
    variable: 'SHOAL_VISIBLE_DEVICES',
    placeholder: 'ID,...',
    type: types.listOf(64, 'ids of GPUs', /^[A-Za-z0-9_-]{1,64}$/),
    default: null,
    defaultNote: 'none',
    commands: ['worker', 'node', 'run'],
    help: 'GPUs that this process gives to actors and tasks, as ids.',
  }),
  actorObjectBytes: option({
    flag: 'actor-object-bytes',
    variable: 'SHOAL_ACTOR_OBJECT_BYTES',
    placeholder: 'SIZE',
    type: types.byteSize(2 ** 20, '1MiB'),
    default: '512MiB',
    unit: 'bytes',
    commands: ['up', 'worker', 'node', 'run'],
    help: 'Memory for the objects that this process stores for actors and tasks.',
  }),
  objectDir: option({
    flag: 'object-dir',
    variable: 'SHOAL_OBJECT_DIR',
    placeholder: 'DIR',
    type: types.path,
    default: null,
    defaultNote: 'none: objects stay in memory',
    commands: ['up', 'worker', 'node', 'run'],
    help: 'Folder for objects beyond three quarters of --actor-object-bytes. Each process uses a folder of its own in it, and removes it at its end.',
  }),
  follow: option({
    flag: 'follow',
    variable: 'SHOAL_FOLLOW',
    short: 'f',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: ['logs'],
    help: 'Goes on with the lines that are still to come, until Ctrl-C.',
  }),
} as const satisfies OptionTable;
