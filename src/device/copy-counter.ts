import type { DeviceCopies } from './device.js';

/** Counts the bytes that a device copies: `h2d` from the host, `d2h` to the host, `d2d` within the device. */
export class CopyCounter implements DeviceCopies {
  h2d = 0;
  d2h = 0;
  d2d = 0;

  snapshot(): DeviceCopies {
    return { h2d: this.h2d, d2h: this.d2h, d2d: this.d2d };
  }
}
