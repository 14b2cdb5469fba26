import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

/** The folder models/recall. */
export const RECALL = fileURLToPath(new URL('../../../models/recall', import.meta.url));

const folders: string[] = [];
// For each test file that imports this, at its top level: a hook that is set within a test is never called.
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** Creates a temporary folder, which is removed after the file's tests. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-model-'));
  folders.push(folder);
  return folder;
}
