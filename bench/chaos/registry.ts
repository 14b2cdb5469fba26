import type { Fault } from './fault.js';
import { clockBack } from './faults/clock-back.js';
import { clocksSwapped } from './faults/clocks-swapped.js';
import { corruptFrame } from './faults/corrupt-frame.js';
import { diskFull } from './faults/disk-full.js';
import { duplicateId } from './faults/duplicate-id.js';
import { herd } from './faults/herd.js';
import { hungDisk } from './faults/hung-disk.js';
import { isolation } from './faults/isolation.js';
import { join } from './faults/join.js';
import { killBothHomes } from './faults/kill-both-homes.js';
import { killCoordinator } from './faults/kill-coordinator.js';
import { killInDrain } from './faults/kill-in-drain.js';
import { killMidStream } from './faults/kill-mid-stream.js';
import { killPinKeeper } from './faults/kill-pin-keeper.js';
import { killWorker } from './faults/kill-worker.js';
import { memoryExhausted } from './faults/memory-exhausted.js';
import { mixedContext } from './faults/mixed-context.js';
import { natsAway } from './faults/nats-away.js';
import { natsEmptied } from './faults/nats-emptied.js';
import { natsInRollingRestart } from './faults/nats-in-rolling-restart.js';
import { natsCluster, natsRestarts } from './faults/nats-restarts.js';
import { natsStopped } from './faults/nats-stopped.js';
import { noFiles } from './faults/no-files.js';
import { partition } from './faults/partition.js';
import { pauseWorker } from './faults/pause-worker.js';
import { poison12, poisonousPrompt } from './faults/poison.js';
import { removedFolders } from './faults/removed-folders.js';
import { rollingRestart } from './faults/rolling-restart.js';
import { secondFleet } from './faults/second-fleet.js';
import { slowPeer } from './faults/slow-peer.js';
import { slowReaders } from './faults/slow-readers.js';
import { soak } from './faults/soak.js';
import { stoppedSupervisor } from './faults/stopped-supervisor.js';
import { unreachablePair } from './faults/unreachable-pair.js';
import { wrongBlocks } from './faults/wrong-blocks.js';

/** Every fault that a fleet must survive, in the order of the table. */
export const FAULTS: readonly Fault[] = [
  killWorker,
  killBothHomes,
  killMidStream,
  killCoordinator,
  natsStopped,
  pauseWorker,
  partition,
  slowPeer,
  corruptFrame,
  memoryExhausted,
  diskFull,
  duplicateId,
  rollingRestart,
  join,
  herd,
  poisonousPrompt,
  slowReaders,
  isolation,
  unreachablePair,
  natsAway,
  natsRestarts,
  natsCluster,
  natsEmptied,
  clockBack,
  poison12,
  hungDisk,
  removedFolders,
  noFiles,
  clocksSwapped,
  stoppedSupervisor,
  killInDrain,
  killPinKeeper,
  natsInRollingRestart,
  secondFleet,
  mixedContext,
  wrongBlocks,
  soak,
];

/** The rows of the short form: the rows that no test covers, without the long ones. */
export const SHORT: readonly string[] = [
  'kill-coordinator',
  'partition',
  'corrupt-frame',
  'memory-exhausted',
  'duplicate-id',
  'join',
  'herd',
];
