import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { Cancelled, InvalidRequest, toWire } from '../errors.js';
import { type TextResult, TextTasks } from './text-task.js';
import type { FromThread, TaskForThread, ThreadStart } from './thread-messages.js';

/** The thread's side: loads the tokenizer and the template once, and then does one task after another. */

const { source, cancelled, priority } = workerData as ThreadStart;
const cancelledId = new Int32Array(cancelled);

function send(message: FromThread, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer);
}

function work(tasks: TextTasks, { id, task }: TaskForThread): void {
  try {
    const result = tasks.run(task, () => {
      if (Atomics.load(cancelledId, 0) === id) throw new Cancelled('the caller cancelled the text');
    });
    send({ type: 'done', id, result }, buffersOf(result));
  } catch (error) {
    send({ type: 'failed', id, error: toWire(asRefusal(error, task.options.param)) });
  }
}

/** A text, or a template's output, can exceed a limit of JavaScript: on a string, an array, or the call stack. */
function asRefusal(error: unknown, param: string): unknown {
  if (!(error instanceof RangeError)) return error;
  return new InvalidRequest(`${param}: cannot be converted to tokens (${error.message}); shorten it`, param);
}

function buffersOf(result: TextResult): ArrayBuffer[] {
  return result.type === 'tokens' ? [result.tokens.buffer as ArrayBuffer] : [];
}

/** Nice value of a thread of low priority: the event loop gets the processor within a moment, even if all processors are busy. */
const LOW_PRIORITY = 10;

// On Linux a nice value is a thread's own; elsewhere it would apply to the process.
if (priority === 'low' && process.platform === 'linux') setPriority(LOW_PRIORITY);

try {
  const tasks = await TextTasks.load(source);
  parentPort!.on('message', (message: TaskForThread) => work(tasks, message));
  send({ type: 'ready', hasTemplate: tasks.hasTemplate });
} catch (error) {
  send({ type: 'refused', error: toWire(error) });
}
