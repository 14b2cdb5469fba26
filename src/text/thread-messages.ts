import type { WireError } from '../errors.js';
import type { TextResult, TextSource, TextTask } from './text-task.js';

/** The messages between a coordinator and a thread that works on texts. */

/** The start data of a thread. */
export interface ThreadStart {
  readonly source: TextSource;
  /** One int32 in shared memory: the id of the latest cancelled task. */
  readonly cancelled: SharedArrayBuffer;
  readonly priority: ThreadPriority;
}

/** `low`: other threads of this process and machine come first, where the system can do that for one thread. */
export type ThreadPriority = 'normal' | 'low';

export interface TaskForThread {
  readonly id: number;
  readonly task: TextTask;
}

export type FromThread =
  | { readonly type: 'ready'; readonly hasTemplate: boolean }
  /** The thread cannot work with this model. */
  | { readonly type: 'refused'; readonly error: WireError }
  | { readonly type: 'done'; readonly id: number; readonly result: TextResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: WireError };
