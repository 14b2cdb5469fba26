import { SystemClock } from '../src/clock.js';
import { readValues } from '../src/config/config.js';
import type { LogLine } from '../src/runtime/messages.js';
import type { CommandContext } from './context.js';
import { Interrupts } from './interrupts.js';
import { withFleet } from './with-fleet.js';

/** `shoal logs`: shows an actor's console output on its nodes. */
export async function logs(context: CommandContext): Promise<number> {
  const [actor = ''] = context.args;
  const { follow, json } = readValues('logs', context);
  const text = json ? (line: LogLine) => JSON.stringify(line) : shown;
  const over = new AbortController();
  const interrupts = new Interrupts(process, new SystemClock());
  void interrupts.first.then(() => over.abort());
  let lines = 0;
  await withFleet('logs', context, async (fleet) => {
    for await (const line of fleet.logs(actor, { follow, signal: over.signal })) {
      context.io.out(`${text(line)}\n`);
      lines++;
    }
  });
  interrupts.close();
  if (lines === 0 && !follow) context.io.err(`shoal: no actor of the name or id ${actor} has written anything\n`);
  return 0;
}

function shown({ timeMs, node, actor, name, level, text }: LogLine): string {
  return `${new Date(timeMs).toISOString()} ${level.padEnd(5)} ${name ?? actor}@${node} ${text}`;
}
