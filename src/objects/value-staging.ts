import { Overloaded } from '../errors.js';
import { ValueWriter } from './object-value.js';

/** The memory of values on their way from clients into the fleet, bounded over all clients of a process. It is taken as the bytes come. */
export class ValueStaging {
  private used = 0;

  constructor(private readonly limitBytes: number) {}

  get usedBytes(): number {
    return this.used;
  }

  /** Takes a value of known length in. `target` of the writer throws `Overloaded` once there is no memory for the next extent. */
  writer(bytes: number): ValueWriter {
    let taken = 0;
    const take = (extentBytes: number) => {
      if (this.used + extentBytes > this.limitBytes) {
        throw new Overloaded(
          `values on their way in have ${this.limitBytes} bytes of memory, which are in use; retry later`,
        );
      }
      taken += extentBytes;
      this.used += extentBytes;
    };
    const free = () => {
      this.used -= taken;
      taken = 0;
    };
    return new ValueWriter(bytes, take, free);
  }
}
