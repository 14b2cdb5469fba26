import { readFileSync } from 'node:fs';
import type { Clock } from '../../src/clock.js';
import { parseKeysFile } from '../../src/config/keys-file.js';
import type { Log } from '../../src/log.js';
import { KeyRing } from './key-ring.js';
import { WatchedFile } from './watched-file.js';

/** The keys of a keys file, read again when the file changes. A file that is wrong or gone leaves the keys as they were. */
export class KeysFileSource {
  private current: KeyRing;
  private readonly file: WatchedFile;

  /** Reads the file. @throws WrongUsage */
  constructor(path: string, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    const text = readFileSync(path, 'utf8');
    this.current = KeyRing.ofEntries(parseKeysFile(text, path));
    const onChange = (changed: string) => {
      const entries = parseKeysFile(changed, path);
      this.current = KeyRing.ofEntries(entries);
      log.info({ file: path, keys: entries.length }, 'read the changed keys file');
    };
    const onFault = (err: unknown) => {
      const reason = err instanceof Error ? err.message : String(err);
      log.error({ file: path, reason }, 'cannot use the changed keys file; the keys stay as they were');
    };
    this.file = new WatchedFile({ path, clock, onChange, onFault }, text);
  }

  get ring(): KeyRing {
    return this.current;
  }

  start(): void {
    this.file.start();
  }

  stop(): void {
    this.file.stop();
  }

  /** Reads the file now, if it has changed. Resolves with the reason why the keys stay as they were; null if they do not. */
  look(): Promise<string | null> {
    return this.file.look();
  }
}
