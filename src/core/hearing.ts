import { ANNOUNCE_INTERVAL_MS, BUS_GRACE_MS, SUSPECT_AFTER_MS } from '../limits.js';
import type { MembershipEvent } from './membership-events.js';

/**
 * Whether a process hears the fleet, so that the silence of other members is evidence against them.
 *
 * A process sends itself echoes over the bus. Missing echoes mean that the process itself is cut off, long before its bus notices.
 */

/**
 * Silence of its own echoes after which a process is deaf. Shorter than the time in which a worker can refute that its connection closed: a
 * process that lost its network when the connection closed then knows before it would declare the worker dead. @internal exported for tests.
 */
export const DEAF_AFTER_MS = 500;
/** Limit on the part of one pause between two steps that counts as silence, because a busy process does not read what has arrived. */
const STEP_MS = ANNOUNCE_INTERVAL_MS / 2 + 50;
/** A process that was not stepped for this time was suspended, so that the silence of others is no evidence. */
const ASLEEP_MS = SUSPECT_AFTER_MS / 2;

export interface Hearing {
  readonly busLost: boolean;
  readonly deaf: boolean;
  readonly echoedAtMs: number;
  readonly steppedAtMs: number;
  /** Silence counts from here on: earlier silence is not attributed to a worker. */
  readonly judgeFromMs: number;
}

export function startHearing(nowMs: number): Hearing {
  return { busLost: false, deaf: false, echoedAtMs: nowMs, steppedAtMs: nowMs, judgeFromMs: nowMs };
}

/** Whether the silence of others is theirs. */
export function canJudge({ busLost, deaf }: Hearing): boolean {
  return !busLost && !deaf;
}

/** The hearing when time has passed. */
export function atStep(hearing: Hearing, nowMs: number): Hearing {
  const pauseMs = nowMs - hearing.steppedAtMs;
  const echoedAtMs = hearing.echoedAtMs + Math.max(0, pauseMs - STEP_MS);
  return {
    busLost: hearing.busLost,
    echoedAtMs,
    steppedAtMs: nowMs,
    deaf: hearing.deaf || nowMs - echoedAtMs > DEAF_AFTER_MS,
    judgeFromMs: pauseMs > ASLEEP_MS ? Math.max(nowMs, hearing.judgeFromMs) : hearing.judgeFromMs,
  };
}

/** The hearing after an echo came back. */
function afterEcho(hearing: Hearing, nowMs: number): Hearing {
  const judgeFromMs = hearing.deaf ? Math.max(hearing.judgeFromMs, nowMs) : hearing.judgeFromMs;
  const { busLost, steppedAtMs } = hearing;
  return { busLost, deaf: false, echoedAtMs: nowMs, steppedAtMs, judgeFromMs };
}

function afterBusLost(hearing: Hearing): Hearing {
  return { ...hearing, busLost: true };
}

/** The hearing after the bus was found. Other processes find it later than this one. */
function afterBusFound(hearing: Hearing, nowMs: number): Hearing {
  return { ...hearing, busLost: false, judgeFromMs: nowMs + BUS_GRACE_MS };
}

/** The state after an event. */
export function hearingAfter(hearing: Hearing, { type }: MembershipEvent, nowMs: number): Hearing {
  if (type === 'echoed') return afterEcho(hearing, nowMs);
  if (type === 'busLost') return afterBusLost(hearing);
  return type === 'busFound' ? afterBusFound(hearing, nowMs) : hearing;
}
