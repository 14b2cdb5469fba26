import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from './package-root.js';
import { WrongUsage } from './wrong-usage.js';

/**
 * Absolute path of the model's folder; that of the model that comes with shoal if none was named.
 * @throws WrongUsage if there is no model
 */
export function modelFolder(named: string | null): string {
  const folder = named === null ? join(packageRoot(), 'models', 'recall') : resolve(named);
  if (existsSync(join(folder, 'config.json'))) return folder;
  throw new WrongUsage(
    `--model (SHOAL_MODEL) is ${JSON.stringify(folder)}: it must be a folder with a config.json, as the model hub has them. ` +
      'To make one: shoal model synth --preset tiny --out DIR.',
  );
}
