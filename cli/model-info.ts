import { stat } from 'node:fs/promises';
import { formatByteSize } from '../src/byte-size.js';
import { SystemClock } from '../src/clock.js';
import { readValues } from '../src/config/config.js';
import { modelFolder, namedGraph, namedHubId } from '../src/config/model-folder.js';
import type { Values } from '../src/config/options.js';
import { chooseDevice, surveyDevices } from '../src/device/choose.js';
import { HubCache } from '../src/hub/hub-cache.js';
import { type HubId, hubIdText } from '../src/hub/hub-id.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import type { PullEvent } from '../src/hub/pull-ports.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { openModelFolder } from '../src/model/folder.js';
import { chooseGraph, type GraphWish } from '../src/model/graph-choice.js';
import { graphSignature } from '../src/model/graph-signature.js';
import { Tokenizer } from '../src/model/tokenizer.js';
import type { CommandContext } from './context.js';
import { hubApi } from './hub-model.js';
import { eventText } from './pull-report.js';

/** `shoal model info`: shows a model in a folder, in the hub's cache, or on the hub. */

type Line = readonly [name: string, text: string];

export async function modelInfo(context: CommandContext): Promise<number> {
  const values = readValues('model info', context);
  const named = context.args[0] ?? null;
  const wish = { ...namedGraph(values), device: chooseDevice(values.device, surveyDevices()).provider.name };
  const id = namedHubId(named);
  const lines = id === null ? await ofFolder(named, values, wish) : await ofHub(id, wish, context);
  if (values.json) context.io.out(`${JSON.stringify(Object.fromEntries(lines))}\n`);
  else context.io.out(`${lines.map(([name, text]) => `${name.padEnd(13)} ${text}`).join('\n')}\n`);
  return 0;
}

async function ofFolder(named: string | null, { modelFile }: Values, wish: GraphWish): Promise<Line[]> {
  return folderLines(modelFolder(named, modelFile), wish);
}

async function folderLines(dir: string, wish: GraphWish): Promise<Line[]> {
  const folder = await openModelFolder(dir, wish);
  await Tokenizer.loadDecoder(folder);
  const files = [folder.graphPath, ...folder.externalDataFiles];
  const sizes = await Promise.all(files.map(async (path) => (await stat(path)).size));
  const { modelType, contextTokens, vocabSize } = folder.config;
  const { layers, kvHeads, headDim } = graphSignature(folder.graph, folder.config, BLOCK_TOKENS).layout;
  return [
    ['model', folder.name],
    ['folder', folder.dir],
    ['graph', `${folder.graphPath.slice(folder.dir.length + 1)} (${folder.graphWhy})`],
    ['weights', formatByteSize(sizes.reduce((sum, size) => sum + size, 0))],
    ['architecture', `${modelType}, ${layers} layers, ${kvHeads} K/V heads of ${headDim}, vocabulary of ${vocabSize}`],
    ['context', `${contextTokens} tokens`],
    ['template', folder.chatTemplate === null ? 'none' : 'for chats'],
  ];
}

/** The facts about the cached model, else the hub's. */
async function ofHub(id: HubId, wish: GraphWish, { environment, io }: CommandContext): Promise<Line[]> {
  const settings = hubSettings(environment);
  const cache = new HubCache(settings.cacheDir, id.repository);
  const cached = await cache.commitOf(id.revision);
  if (cached !== null) return [...(await folderLines(cache.snapshot(cached), wish)), ['commit', cached]];
  const clock = new SystemClock();
  const api = hubApi(environment, clock);
  const onEvent = (event: PullEvent) => io.err(`${eventText(event)}\n`);
  const ports = { clock, signal: new AbortController().signal, onEvent };
  const commit = await api.commit(id, ports);
  const files = await api.files(id, commit, ports);
  const graphs = files.filter(({ path }) => path.endsWith('.onnx'));
  // config.json, which may recommend another type, is not here.
  const { path, why } = chooseGraph(
    graphs.map((file) => file.path),
    wish,
    {},
    hubIdText(id),
  );
  // Files with external data are named after their graph.
  const bytes = files.filter((file) => file.path.startsWith(path)).reduce((sum, file) => sum + file.byteLength, 0);
  return [
    ['model', hubIdText(id)],
    ['cached', `no; to download it: shoal model pull ${hubIdText(id)}`],
    ['commit', commit],
    ['graph', `${path} (${why})`],
    ['weights', formatByteSize(bytes)],
    ['graphs', graphs.map((file) => `${file.path} ${formatByteSize(file.byteLength)}`).join(', ')],
  ];
}
