import type { RespCommand } from './command.js';
import { CONNECTION_COMMANDS } from './commands/connection.js';
import { KEY_COMMANDS } from './commands/keys.js';
import { commandCommand, SERVER_COMMANDS } from './commands/server.js';
import { STRING_COMMANDS } from './commands/strings.js';

/** All commands by name. Any other command is unknown. */
export const COMMANDS: ReadonlyMap<string, RespCommand> = new Map(
  [...CONNECTION_COMMANDS, ...STRING_COMMANDS, ...KEY_COMMANDS, ...SERVER_COMMANDS, commandCommand(() => COMMANDS)].map(
    (command) => [command.name, command],
  ),
);
