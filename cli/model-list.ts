import { formatByteSize } from '../src/byte-size.js';
import { readValues } from '../src/config/config.js';
import { HubCache } from '../src/hub/hub-cache.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';

const COMMIT_CHARS = 12;

/** `shoal model list`: shows the models in the hub's cache, including other programs' downloads. */
export async function modelList(context: CommandContext): Promise<number> {
  const { json } = readValues('model list', context);
  const { cacheDir } = hubSettings(context.environment);
  const models = [];
  for (const repository of await HubCache.repositories(cacheDir)) {
    const cache = new HubCache(cacheDir, repository);
    const revisions = await cache.revisions();
    for (const commit of await cache.commits()) {
      const graphs = (await cache.files(commit)).map(({ path }) => path).filter((path) => path.endsWith('.onnx'));
      const names = revisions.filter((one) => one.commit === commit).map(({ revision }) => revision);
      models.push({ id: repository, revisions: names, commit, graphs, bytes: await cache.byteLength() });
    }
  }
  if (json) context.io.out(`${JSON.stringify(models)}\n`);
  else if (models.length === 0) context.io.out(`no models in ${cacheDir}; to get one: shoal model pull org/name\n`);
  else {
    const rows = models.map(({ id, revisions, commit, graphs, bytes }) => [
      ...[id, revisions.join(', '), commit.slice(0, COMMIT_CHARS)],
      ...[graphs.join(', ') || 'none in ONNX', formatByteSize(bytes)],
    ]);
    context.io.out(`${table(['model', 'revision', 'commit', 'graphs', 'size'], rows)}\n`);
  }
  return 0;
}
