import { basename } from 'node:path';
import { snapshotOf } from '../hub/cache-layout.js';

/** The name of the model in a folder: the repository's if the folder is a snapshot in the hub's cache, else the folder's. */
export function modelNameOf(dir: string): string {
  return snapshotOf(dir)?.repository ?? basename(dir);
}
