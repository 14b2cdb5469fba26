import { formatByteSize } from '../src/byte-size.js';
import { adapterFolderOf } from '../src/config/adapter-options.js';
import { readValues } from '../src/config/config.js';
import { modelFolder } from '../src/config/model-folder.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { AdapterFolder } from '../src/model/adapter/adapter-folder.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';

/** `shoal adapter list` and `shoal adapter rm`: the folder of adapters. */

/** `shoal adapter list`: shows the adapters in the folder. */
export async function adapterList(context: CommandContext): Promise<number> {
  const { folder, json } = folderOf('adapter list', context);
  const entries = await Promise.all(
    (await folder.list()).map(async ({ name, file, bytes }) => ({
      ...{ name, file, bytes },
      fingerprint: await folder.fingerprint({ file }),
    })),
  );
  if (json) context.io.out(`${JSON.stringify(entries)}\n`);
  else if (entries.length === 0)
    context.io.out(`no adapters in ${folder.dir}; to add one: shoal adapter add NAME DIR\n`);
  else {
    const rows = entries.map(({ name, bytes, fingerprint }) => [name, formatByteSize(bytes), fingerprint]);
    context.io.out(`${table(['adapter', 'size', 'fingerprint'], rows)}\n`);
  }
  return 0;
}

/** `shoal adapter rm`: removes an adapter. Workers that have loaded it continue. */
export async function adapterRemove(context: CommandContext): Promise<number> {
  const { folder } = folderOf('adapter rm', context);
  const [name] = context.args;
  if (name === undefined) throw new WrongUsage('shoal adapter rm: needs the name of the adapter');
  await folder.remove(name);
  context.io.out(`removed ${name}; a running fleet serves it no longer\n`);
  return 0;
}

function folderOf(command: 'adapter list' | 'adapter rm', context: CommandContext) {
  const { adapterDir, model, modelFile, json } = readValues(command, context);
  return { folder: new AdapterFolder(adapterFolderOf(adapterDir, modelFolder(model, modelFile))), json };
}
