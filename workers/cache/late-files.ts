import type { Clock } from '../../src/clock.js';
import type { BlockKey } from '../../src/core/block.js';
import type { BlockFiles } from './block-folder.js';

/** The files of a folder that is still being opened, because its disk does not answer. */

/** Time for a folder to be opened, after which the worker starts without it. @internal exported for tests. */
export const FOLDER_OPEN_MS = 5_000;

/** Each operation waits until the folder is open, and rejects if it cannot be opened. */
class LateFiles implements BlockFiles {
  constructor(private readonly opening: Promise<BlockFiles>) {}

  async list(onStep?: () => void): ReturnType<BlockFiles['list']> {
    return (await this.opening).list(onStep);
  }

  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    await (await this.opening).write(key, parts);
  }

  async read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean> {
    return (await this.opening).read(key, into, position);
  }

  async remove(key: BlockKey): Promise<void> {
    await (await this.opening).remove(key);
  }

  async probe(): Promise<void> {
    await (await this.opening).probe();
  }

  async close(): Promise<void> {
    await (await this.opening).close();
  }
}

/** The opened files; files whose operations wait for them if that takes longer than `FOLDER_OPEN_MS`. Rejects if the opening rejects sooner. */
export function openedInTime(opening: Promise<BlockFiles>, clock: Clock): Promise<BlockFiles> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(FOLDER_OPEN_MS, () => resolve(new LateFiles(opening)));
    opening.then(resolve, reject).finally(() => timer.cancel());
  });
}
