import { Worker } from 'node:worker_threads';
import type { StartThread } from './text-lane.js';
import type { TextSource } from './text-task.js';
import type { FromThread, ThreadStart } from './thread-messages.js';

/** Starts threads of Node for texts; the only file of a coordinator that starts threads. */

const MiB = 2 ** 20;
/** Heap of a thread beside its tokenizer. Encoding a text takes a few hundred bytes for each of its tokens. */
const THREAD_HEAP_MIB = 512;
/** Heap for a tokenizer, in bytes for each byte of its tokenizer.json. */
const HEAP_PER_TOKENIZER_BYTE = 24;
/** For deep recursion in a library, below what the thread's own stack takes. */
const THREAD_STACK_MIB = 4;

/** The program of a thread, beside this file once built. */
const PROGRAM = new URL('./text-thread.js', import.meta.url);

/**
 * A way to start threads for this model.
 * @param tokenizerBytes size of its tokenizer.json
 * @param program the built text-thread.js
 */
export function nodeThreads(source: TextSource, tokenizerBytes: number, program: URL = PROGRAM): StartThread {
  // Of the folder, only what can be sent, and no more than is needed.
  const { tokenizerPath, tokenizerConfig, dir, chatTemplate, config } = source;
  const sent: TextSource = {
    ...{ tokenizerPath, tokenizerConfig, dir, chatTemplate },
    config: { vocabSize: config.vocabSize },
  };
  const heapMib = THREAD_HEAP_MIB + Math.ceil((HEAP_PER_TOKENIZER_BYTE * tokenizerBytes) / MiB);
  return (events) => {
    const cancelled = new SharedArrayBuffer(4);
    const worker = new Worker(program, {
      workerData: { source: sent, cancelled } satisfies ThreadStart,
      resourceLimits: { maxOldGenerationSizeMb: heapMib, stackSizeMb: THREAD_STACK_MIB },
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
