import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import { CHOICES_PER_REQUEST } from '../../src/limits.js';

/** Items of a long list that are serialized in one turn of the event loop. An item is at most a token with 20 alternatives. */
const ITEMS_PER_TURN = 64;

/**
 * The JSON text of a value, as `JSON.stringify` makes it, with turns of the event loop between the items of long lists: the log-probabilities of
 * one answer take seconds to serialize. The value must have no circle, and `toJSON` only on items of lists. Rejects with the signal's reason.
 */
export async function jsonInTurns(value: unknown, signal: AbortSignal): Promise<string> {
  const parts: string[] = [];
  await write(value, parts, signal);
  return parts.join('');
}

async function write(value: unknown, parts: string[], signal: AbortSignal): Promise<void> {
  if (Array.isArray(value)) return writeList(value, parts, signal);
  if (!isPlain(value)) {
    parts.push(textOf(value));
    return;
  }
  let separator = '{';
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    parts.push(`${separator}${JSON.stringify(key)}:`);
    separator = ',';
    await write(inner, parts, signal);
  }
  parts.push(separator === '{' ? '{}' : '}');
}

async function writeList(list: readonly unknown[], parts: string[], signal: AbortSignal): Promise<void> {
  if (list.length === 0) parts.push('[');
  // The items of a short list, such as the choices of an answer, may have long lists themselves.
  if (list.length <= CHOICES_PER_REQUEST && list.every(isPlain)) {
    for (const [i, item] of list.entries()) {
      parts.push(i === 0 ? '[' : ',');
      await write(item, parts, signal);
      if (i % ITEMS_PER_TURN === ITEMS_PER_TURN - 1) await LOOP_TURNS.next();
    }
    parts.push(']');
    return;
  }
  for (let from = 0; from < list.length; from += ITEMS_PER_TURN) {
    const some = list.slice(from, from + ITEMS_PER_TURN).map(textOf);
    parts.push(from === 0 ? '[' : ',', some.join(','));
    await LOOP_TURNS.next();
    signal.throwIfAborted();
  }
  parts.push(']');
}

/** In a list, JSON has null for a value that it cannot represent. */
function textOf(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}

/** Whether a value is written member by member: its members may be long lists. */
function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !('toJSON' in value);
}
