/** Whether the threads of a session spin while they wait for work. */

export interface Spinning {
  /** Whether threads spin while idle: operators start faster, but a thread that spins keeps a core busy. */
  readonly allowSpinning: boolean;
  /** For how long a thread spins, within a run; infinite: without a limit, and after the run too. Default: `SPIN_MICROS`. */
  readonly spinMicros?: number;
}

/**
 * Longer than the pauses between most operators, in which one thread alone works, and so short that it takes little from other processes on a
 * machine whose cores are all busy. Without a limit a run takes about twice as long there.
 */
const SPIN_MICROS = 20;

/** The entries of a session's configuration. */
export function spinEntries({ allowSpinning, spinMicros = SPIN_MICROS }: Spinning): Record<string, string> {
  const entries = { 'session.intra_op.allow_spinning': allowSpinning ? '1' : '0' };
  if (!allowSpinning || !Number.isFinite(spinMicros)) return entries;
  return {
    ...entries,
    'session.intra_op.spin_duration_us': String(spinMicros),
    'session.force_spinning_stop': '1',
  };
}
