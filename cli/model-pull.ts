import { SystemClock } from '../src/clock.js';
import { readValues } from '../src/config/config.js';
import { namedGraph } from '../src/config/model-folder.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { chooseDevice, surveyDevices } from '../src/device/choose.js';
import { type HubId, hubIdText, parseHubId } from '../src/hub/hub-id.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { openModelFolder } from '../src/model/folder.js';
import { graphSignature } from '../src/model/graph-signature.js';
import { TextTasks } from '../src/text/text-task.js';
import type { CommandContext } from './context.js';
import { pullModel } from './hub-model.js';
import { Progress } from './progress.js';
import { pullReport } from './pull-report.js';

/** `shoal model pull`: downloads a model of the hub. */
export async function modelPull(context: CommandContext): Promise<number> {
  const values = readValues('model pull', context);
  const id = requiredHubId(context.args[0]);
  const wish = { ...namedGraph(values), device: chooseDevice(values.device, surveyDevices()).provider.name };
  const clock = new SystemClock();
  const report = pullReport(context.io, new Progress(context.io, values.json), clock);
  const pulled = await pullModel(id, wish, context.environment, {
    clock,
    signal: new AbortController().signal,
    ...report,
  });
  const { commit, dir, graph, why } = pulled;
  // A model that cannot be served is refused here rather than at the start of a fleet.
  const folder = await openModelFolder(dir, wish);
  graphSignature(folder.graph, folder.config, BLOCK_TOKENS);
  await TextTasks.load(folder);
  const text = `${hubIdText(id)} is in ${dir}\ngraph: ${graph} (${why})\nto serve it: shoal up --model ${hubIdText(id)}`;
  context.io.out(values.json ? `${JSON.stringify({ id: hubIdText(id), commit, dir, graph, why })}\n` : `${text}\n`);
  return 0;
}

/** @throws WrongUsage */
export function requiredHubId(text: string | undefined): HubId {
  const id = parseHubId(text ?? '');
  if (id !== null) return id;
  throw new WrongUsage(
    `id: must be an id on the hub such as org/name or org/name@revision, got ${JSON.stringify((text ?? '').slice(0, 200))}`,
  );
}
