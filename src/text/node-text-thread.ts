import { Worker } from 'node:worker_threads';
import type { StartThread } from './lane-thread.js';
import type { TextSource } from './text-task.js';
import type { FromThread, ThreadStart } from './thread-messages.js';

/** Starts threads of Node for texts; the only file of a coordinator that starts threads. */

/**
 * Limit on the heap of a thread. V8 ends a thread in good order only if its last allocations before the limit were small, and the whole process
 * otherwise. The work of a thread is therefore bounded below this limit: the length of a text, and the budget of a template (`src/model/jinja`).
 */
const THREAD_HEAP_MIB = 4_096;

/** The program of a thread, next to this file once built. */
const PROGRAM = new URL('./text-thread.js', import.meta.url);

/** A way to start threads for this model. @param program the built text-thread.js */
export function nodeThreads(source: TextSource, program: URL = PROGRAM): StartThread {
  // Of the folder, only what can be sent, and no more than is needed.
  const { tokenizerPath, tokenizerConfig, dir, chatTemplate, toolTemplate, config } = source;
  const sent: TextSource = {
    ...{ tokenizerPath, tokenizerConfig, dir, chatTemplate, toolTemplate },
    config: { vocabSize: config.vocabSize },
  };
  return (events, priority) => {
    const cancelled = new SharedArrayBuffer(4);
    const worker = new Worker(program, {
      workerData: { source: sent, cancelled, priority } satisfies ThreadStart,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
      // A thread needs no secret, and flags of the process, such as a loader, are not for it.
      env: {},
      execArgv: [],
    });
    let reason = 'it exited';
    worker.on('message', (message: FromThread) => events.onMessage(message));
    worker.on('error', (error: Error) => {
      reason = error.message;
    });
    worker.on('exit', () => events.onEnd(reason));
    return {
      post: (message) => worker.postMessage(message),
      cancel: (id) => void Atomics.store(new Int32Array(cancelled), 0, id),
      end: async () => void (await worker.terminate()),
    };
  };
}
