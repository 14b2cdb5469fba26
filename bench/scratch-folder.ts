import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder of a benchmark, which is removed at the latest when this process exits. */
export class ScratchFolder {
  readonly path: string;
  private readonly removeAtExit = () => rmSync(this.path, { recursive: true, force: true });

  /** @param name says in the folder's name what it is for */
  constructor(name: string) {
    this.path = mkdtempSync(join(tmpdir(), `shoal-${name}-`));
    process.once('exit', this.removeAtExit);
  }

  async remove(): Promise<void> {
    process.off('exit', this.removeAtExit);
    await rm(this.path, { recursive: true, force: true });
  }
}
