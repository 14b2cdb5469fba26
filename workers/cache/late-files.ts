import type { Clock } from '../../src/clock.js';
import type { BlockKey } from '../../src/core/block.js';
import { Unavailable } from '../../src/errors.js';
import type { BlockFiles } from './block-folder.js';

/** The files of a folder that is still being opened, because its disk does not answer, or that its disk does not let be opened now. */

/** Time limit for opening a folder, after which the worker starts without it. @internal exported for tests. */
export const FOLDER_OPEN_MS = 5_000;

/** Each operation waits until the folder is open, and rejects if it cannot be opened. After `Unavailable` the next operation opens it again. */
class LateFiles implements BlockFiles {
  private failed = false;

  constructor(
    private readonly open: () => Promise<BlockFiles>,
    private opening: Promise<BlockFiles>,
  ) {
    this.watch();
  }

  async list(onStep?: () => void): ReturnType<BlockFiles['list']> {
    return (await this.files()).list(onStep);
  }

  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    await (await this.files()).write(key, parts);
  }

  async read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean> {
    return (await this.files()).read(key, into, position);
  }

  async remove(key: BlockKey): Promise<void> {
    await (await this.files()).remove(key);
  }

  async probe(): Promise<void> {
    await (await this.files()).probe();
  }

  async close(): Promise<void> {
    if (!this.failed) await (await this.opening).close();
  }

  private files(): Promise<BlockFiles> {
    if (this.failed) {
      this.failed = false;
      this.opening = this.open();
      this.watch();
    }
    // To callers, `Unavailable` means a disk that is left alone already.
    return this.opening.catch((error: unknown) => {
      throw error instanceof Unavailable ? new Error(error.message, { cause: error }) : error;
    });
  }

  private watch(): void {
    this.opening.catch((error: unknown) => {
      this.failed = error instanceof Unavailable;
    });
  }
}

/**
 * The opened files. If opening takes longer than `FOLDER_OPEN_MS`, or rejects with `Unavailable`, files whose operations open them. Rejects with other
 * errors of the opening.
 */
export function openedInTime(open: () => Promise<BlockFiles>, clock: Clock): Promise<BlockFiles> {
  return new Promise((resolve, reject) => {
    const opening = open();
    const later = () => resolve(new LateFiles(open, opening));
    const timer = clock.after(FOLDER_OPEN_MS, later);
    opening
      .then(resolve, (error: unknown) => (error instanceof Unavailable ? later() : reject(error)))
      .finally(() => timer.cancel());
  });
}
