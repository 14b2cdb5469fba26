import { type CoordinatorConfig, coordinatorConfig } from './coordinator-config.js';
import { type Machine, readMachine } from './machine.js';
import { type NodeConfig, nodeConfig } from './node-config.js';
import type { Command } from './option.js';
import { OPTIONS, type Values } from './options.js';
import { type EnvironmentVariables, type Flags, inheritedVariables, readOptions } from './read-options.js';
import { type UpConfig, upConfig } from './up-config.js';
import { type WorkerConfig, workerConfig } from './worker-config.js';

/** Reads the configuration of each command. */

/** The sources of a configuration: flags win over variables, and variables over defaults. */
export interface ConfigSource {
  readonly flags: Flags;
  readonly environment: EnvironmentVariables;
  /** For tests. The default is this machine. */
  readonly machine?: Machine;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

/** The plain option values of a command. @throws WrongUsage */
export function readValues(command: Command, source: ConfigSource): Values {
  return readOptions(OPTIONS, command, source.flags, source.environment);
}

/** Configuration of one worker, checked and frozen. @throws WrongUsage */
export function readWorkerConfig(source: ConfigSource): WorkerConfig {
  return deepFreeze(workerConfig(readValues('worker', source), source.machine ?? readMachine()));
}

/** Configuration of one node of the runtime, checked and frozen. @throws WrongUsage */
export function readNodeConfig(source: ConfigSource): NodeConfig {
  return deepFreeze(nodeConfig(readValues('node', source), source.machine ?? readMachine()));
}

/** Configuration of one coordinator, checked and frozen. @throws WrongUsage */
export function readCoordinatorConfig(source: ConfigSource): CoordinatorConfig {
  return deepFreeze(coordinatorConfig(readValues('coordinator', source), source.machine ?? readMachine()));
}

/** Configuration of `shoal up`, checked and frozen. @throws WrongUsage */
export function readUpConfig(source: ConfigSource): UpConfig {
  const inherited = (child: Command) => inheritedVariables(OPTIONS, 'up', child, source.flags, source.environment);
  const both = { coordinator: inherited('coordinator'), worker: inherited('worker') };
  return deepFreeze(upConfig(readValues('up', source), source.machine ?? readMachine(), both));
}
