import type { DeviceCopies } from './device.js';

/** Where a device counts what it copies: `h2d` from the host, `d2h` to it, `d2d` within the device. In bytes. */
export class CopyCounter implements DeviceCopies {
  h2d = 0;
  d2h = 0;
  d2d = 0;

  seen(): DeviceCopies {
    return { h2d: this.h2d, d2h: this.d2h, d2d: this.d2d };
  }
}
