/**
 * Preloaded into a process of a fleet (`node --import`): its wall clock is `CHAOS_CLOCK_OFFSET_MS` off. The monotonic clock and timers are unchanged,
 * as on a machine whose clock is wrong.
 */
const offsetMs = Number(process.env.CHAOS_CLOCK_OFFSET_MS ?? 0);
const SystemDate = Date;

class ShiftedDate extends SystemDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(ShiftedDate.now());
    else super(...(args as [number]));
  }

  static override now(): number {
    return SystemDate.now() + offsetMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
