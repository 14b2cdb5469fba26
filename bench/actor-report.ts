import type { BenchRoute } from './actor-caller.js';
import { machineLine, type Report, reportRatio, reportRow } from './report.js';

/** The report of benchmark `actor`, from what its rounds measured. */

/** The measurements of one round on one route. */
export interface RouteRound {
  /** Median round trip of an ask, and of a bare echo. */
  readonly askMicros: number;
  readonly bareMicros: number;
  /** Asks per second with many in flight. */
  readonly askRate: number;
  /** Items of a stream per second. */
  readonly itemRate: number;
}

/** Quantiles of round trips in one round, in microseconds. */
interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

export type Round = Readonly<Record<BenchRoute, RouteRound>> & {
  /** Median round trip of a sealed request over NATS without actors. */
  readonly sealedMicros: number;
  /** Asks over the direct Unix socket, alone and during transfers of blocks. */
  readonly idle: Quantiles;
  readonly busy: Quantiles;
};

const MOST_OF_UNIX_ECHO = 2;
const MOST_OF_NATS_REQUEST = 1.15;
const MOST_DELAY_MS = 2;

const LABELS = [
  { route: 'unix', call: 'direct Unix', bare: 'bare Unix echo', most: MOST_OF_UNIX_ECHO },
  { route: 'tcp', call: 'direct TCP', bare: 'bare TCP echo', most: null },
  { route: 'nats', call: 'NATS', bare: 'bare NATS request', most: MOST_OF_NATS_REQUEST },
] as const;

export function actorReport(rounds: readonly Round[]): Report {
  const row = (name: string, unit: string, of: (round: Round) => number) => reportRow(name, unit, rounds.map(of));
  const atMost = (value: number) => ({ kind: 'at most', value }) as const;
  return {
    name: 'actor',
    machine: machineLine(),
    rows: [
      ...LABELS.flatMap(({ route, call, bare }) => [
        row(`${call}: ask of 100 bytes`, 'us', (round) => round[route].askMicros),
        row(bare, 'us', (round) => round[route].bareMicros),
      ]),
      row('sealed NATS request, without actors', 'us', ({ sealedMicros }) => sealedMicros),
      ...LABELS.map(({ route, call }) => row(`${call}: 64 asks in flight`, 'calls/s', (round) => round[route].askRate)),
      ...LABELS.map(({ route, call }) => row(`${call}: stream`, 'items/s', (round) => round[route].itemRate)),
      row('direct Unix ask, idle, p50', 'us', ({ idle }) => idle.p50),
      row('direct Unix ask, idle, p99', 'us', ({ idle }) => idle.p99),
      row('direct Unix ask, during block transfers, p50', 'us', ({ busy }) => busy.p50),
      row('direct Unix ask, during block transfers, p99', 'us', ({ busy }) => busy.p99),
    ],
    ratios: [
      ...LABELS.map(({ route, call, bare, most }) =>
        reportRatio(
          `${call} ask / ${bare}`,
          rounds.map((round) => round[route].askMicros / round[route].bareMicros),
          most === null ? null : atMost(most),
        ),
      ),
      reportRatio(
        'sealed NATS request / bare NATS request',
        rounds.map(({ sealedMicros, nats }) => sealedMicros / nats.bareMicros),
        null,
      ),
      reportRatio(
        'p99 during block transfers - idle p99',
        rounds.map(({ idle, busy }) => (busy.p99 - idle.p99) / 1000),
        atMost(MOST_DELAY_MS),
        'ms',
      ),
    ],
  };
}
