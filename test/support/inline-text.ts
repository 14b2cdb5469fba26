import { type TextSource, type TextTask, TextTasks } from '../../src/text/text-task.js';
import type { EncodedText, TextWork } from '../../src/text/text-work.js';

/** Converts texts in the calling thread, for tests that are about something else. */
export async function inlineText(source: TextSource): Promise<TextWork> {
  const tasks = await TextTasks.load(source);
  const encoded = async (task: TextTask, signal: AbortSignal) => {
    signal.throwIfAborted();
    return tasks.run(task) as EncodedText;
  };
  return {
    hasTemplate: tasks.hasTemplate,
    encode: (text, options, { signal }) => encoded({ type: 'encode', text, options }, signal),
    encodeChat: (messages, options, { signal }) => encoded({ type: 'chat', messages, options }, signal),
    constrain: async (constraint, options, { signal }) => {
      signal.throwIfAborted();
      const result = tasks.run({ type: 'constrain', constraint, options });
      return result.type === 'program' ? result.program : new Uint8Array();
    },
    decode: async (tokens, options, { signal }) => {
      signal.throwIfAborted();
      const result = tasks.run({ type: 'decode', tokens, options });
      return result.type === 'text' ? result.text : '';
    },
  };
}
