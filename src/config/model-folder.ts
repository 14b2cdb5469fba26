import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageRoot } from './package-root.js';
import { WrongUsage } from './wrong-usage.js';

/**
 * The absolute path of the model's folder. The default is the bundled model.
 * @throws WrongUsage if the folder has no config.json
 */
export function modelFolder(named: string | null): string {
  const folder = named === null ? join(packageRoot(), 'models', 'recall') : resolve(named);
  if (existsSync(join(folder, 'config.json'))) return folder;
  throw new WrongUsage(
    `--model (SHOAL_MODEL): must be a model folder with a config.json, got ${JSON.stringify(folder)}; ` +
      'to write one: shoal model synth --preset tiny --out DIR',
  );
}
