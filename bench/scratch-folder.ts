import { tmpdir } from 'node:os';
import { LockedFolder, ownPrefix } from '../cli/process/locked-folder.js';

/**
 * A new folder of a benchmark or a fault. It is removed when this process exits, and if the process is killed, by the next one that makes such a folder
 * or runs a fleet.
 */
export class ScratchFolder {
  private readonly folder: LockedFolder;
  private readonly removeAtExit = () => this.folder.remove();

  /** @param name says in the folder's name what it is for */
  constructor(name: string) {
    this.folder = LockedFolder.create(tmpdir(), ownPrefix(), `${name}-`);
    process.once('exit', this.removeAtExit);
  }

  get path(): string {
    return this.folder.path;
  }

  async remove(): Promise<void> {
    process.off('exit', this.removeAtExit);
    this.folder.remove();
  }
}
