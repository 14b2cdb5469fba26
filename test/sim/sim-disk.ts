import type { BlockKey } from '../../src/core/block.js';
import type { SeededRandom } from '../../src/random.js';
import type { BlockFiles } from '../../workers/cache/block-folder.js';
import type { SimProcess } from './sim-process.js';
import type { VirtualTime } from './virtual-time.js';

/** The disk of a host, which outlives the processes on it. What a process asks of it ends with the process. */

/** `hung`: nothing ends before the fault does. `damaged`: what is read has a wrong bit. */
export type DiskFault = 'hung' | 'slow' | 'failing' | 'full' | 'damaged';

const OPERATION_MS = { least: 0.05, most: 2 };
const SLOW_TIMES = 200;

export interface DiskOptions {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  /** Bytes that all files together may have. */
  readonly budgetBytes: number;
  /** There are more bytes than the budget allows. */
  readonly onExcess: (bytes: number) => void;
}

export class SimDisk {
  private readonly files = new Map<BlockKey, Uint8Array>();
  private readonly faults: DiskFault[] = [];
  private readonly hanging: (() => void)[] = [];
  /** Whether it has ever given wrong bits. */
  wasDamaged = false;

  constructor(private readonly options: DiskOptions) {}

  /** Lets the disk fail in this way until the result is called. */
  fail(fault: DiskFault): () => void {
    this.faults.push(fault);
    this.wasDamaged ||= fault === 'damaged';
    let failing = true;
    return () => {
      if (!failing) return;
      failing = false;
      this.faults.splice(this.faults.indexOf(fault), 1);
      if (!this.has('hung')) for (const end of this.hanging.splice(0)) end();
    };
  }

  /** The files as one process has them. */
  mount(process: SimProcess): BlockFiles {
    const run = <T>(act: () => T): Promise<T> => this.run(process, act);
    return {
      list: () => run(() => [...this.files].map(([key, { byteLength }]) => ({ key, byteLength }))),
      write: (key, parts) => run(() => this.write(key, Buffer.concat(parts))),
      read: (key, into, position) => run(() => this.read(key, into, position)),
      remove: (key) => run(() => void this.files.delete(key)),
      probe: () => run(() => this.refuseIf('full', 'ENOSPC: no space left on device')),
      close: () => run(() => {}),
    };
  }

  private run<T>(process: SimProcess, act: () => T): Promise<T> {
    const { time, random } = this.options;
    const { least, most } = OPERATION_MS;
    const afterMs = (least + (most - least) * random.next()) * (this.has('slow') ? SLOW_TIMES : 1);
    return new Promise<T>((resolve, reject) => {
      const end = () => {
        if (this.has('hung')) {
          this.hanging.push(end);
          return;
        }
        if (!process.alive) return;
        const settle = this.outcome(act, resolve, reject);
        process.post(settle);
      };
      time.after(afterMs, end);
    });
  }

  /** Acts on the files now; the process learns of it when the result is called. */
  private outcome<T>(act: () => T, resolve: (value: T) => void, reject: (error: unknown) => void): () => void {
    try {
      this.refuseIf('failing', 'EIO: i/o error');
      const value = act();
      return () => resolve(value);
    } catch (error) {
      return () => reject(error);
    }
  }

  private write(key: BlockKey, bytes: Uint8Array): void {
    this.refuseIf('full', 'ENOSPC: no space left on device');
    this.files.delete(key);
    this.files.set(key, bytes);
    const { budgetBytes, onExcess } = this.options;
    const usedBytes = [...this.files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (usedBytes > budgetBytes) onExcess(usedBytes);
  }

  private read(key: BlockKey, into: Uint8Array, position: number): boolean {
    const file = this.files.get(key);
    if (file === undefined || file.byteLength < position + into.byteLength) return false;
    into.set(file.subarray(position, position + into.byteLength));
    if (this.has('damaged')) {
      const { random } = this.options;
      into[random.below(into.byteLength)]! ^= 1 << random.below(8);
    }
    return true;
  }

  private has(fault: DiskFault): boolean {
    return this.faults.includes(fault);
  }

  private refuseIf(fault: DiskFault, why: string): void {
    if (this.has(fault)) throw new Error(why);
  }
}
