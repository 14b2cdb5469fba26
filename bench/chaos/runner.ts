import { checksumOf } from '../../src/digest.js';
import { Cancelled } from '../../src/errors.js';
import { Lifecycle } from '../../src/lifecycle.js';
import { SeededRandom } from '../../src/random.js';
import { ScratchFolder } from '../scratch-folder.js';
import { ChaosContext } from './context.js';
import type { Fault, Figures } from './fault.js';
import { unmet } from './needs.js';
import { type ChaosRow, missed, outcomeOf } from './verdict.js';

/** Runs faults one after another, each against fresh fleets in a separate folder. */

/** A row fails once it has taken this many times as long as expected, and two minutes more. */
const PATIENCE = 4;
const PATIENCE_S = 120;

export interface ChaosRun {
  readonly seed: number;
  /** The built command. */
  readonly cli: string;
  readonly natsServer: string;
  readonly progress: (line: string) => void;
  /** How long a row that may take any time runs. */
  readonly soakMs: number;
  /** Ends the run: the current row ends with everything that it started. */
  readonly signal: AbortSignal;
}

/** Resolves with the rows in order. If the signal aborts, the current row fails and is the last one; everything that it started has ended. */
export async function runFaults(faults: readonly Fault[], run: ChaosRun): Promise<ChaosRow[]> {
  const rows: ChaosRow[] = [];
  for (const [index, fault] of faults.entries()) {
    run.progress(`[${index + 1}/${faults.length}] ${fault.name}: ${fault.row} (about ${fault.expectedS} s)`);
    const row = await runFault(fault, run);
    const why = row.skipped ?? row.why;
    run.progress(`  ${outcomeOf(row)} after ${row.seconds} s${why === undefined ? '' : `: ${why}`}`);
    rows.push(row);
    if (run.signal.aborted) break;
  }
  return rows;
}

async function runFault(fault: Fault, run: ChaosRun): Promise<ChaosRow> {
  const startMs = performance.now();
  const said = { fault: fault.name, row: fault.row, passes_when: fault.passesWhen };
  const lacking = unmet(fault.needs);
  if (lacking !== null) return { ...said, pass: false, skipped: lacking, figures: {}, seconds: 0 };
  const { figures, why } = await attempt(fault, run);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  return { ...said, pass: why === null, figures, seconds, ...(why === null ? {} : { why }) };
}

/** Injects a fault, and ends everything that it started. */
async function attempt(fault: Fault, run: ChaosRun): Promise<{ figures: Figures; why: string | null }> {
  const life = new Lifecycle();
  const scratch = new ScratchFolder('chaos');
  const limitS = PATIENCE * fault.expectedS + PATIENCE_S + run.soakMs / 1000;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`the row did not end within ${limitS} s`)), 1000 * limitS);
  const signal = AbortSignal.any([run.signal, late.signal]);
  // A row draws the same numbers alone as among others.
  const random = new SeededRandom(run.seed ^ checksumOf(Buffer.from(fault.name)));
  const { cli, natsServer, soakMs } = run;
  const progress = (line: string) => run.progress(`  ${fault.name}: ${line}`);
  const context = new ChaosContext({ life, signal, random, folder: scratch.path, cli, natsServer, progress, soakMs });
  try {
    const figures = await Promise.race([fault.run(context), aborted(signal)]);
    const reasons = missed(figures, fault.bounds);
    return { figures, why: reasons.length === 0 ? null : [...reasons, ...context.notes].join('; ') };
  } catch (error) {
    return { figures: {}, why: [messageOf(error), ...context.notes].join('; ') };
  } finally {
    clearTimeout(timer);
    await life.stop().catch((error: unknown) => progress(`cannot clean up: ${messageOf(error)}`));
    await scratch.remove();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason instanceof Error ? signal.reason : new Cancelled('interrupted'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 2_000);
}
