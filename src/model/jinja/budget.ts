import { InvalidRequest } from '../../errors.js';
import { isList, type JinjaValue } from './values.js';

/**
 * The budget of one conversation. A template comes with the model and may be hostile, by intent or by mistake. The budget stops the known ways to
 * exhaust time and memory with an error that names them. It does not bound a single costly operation: for that, templates run in threads with
 * limits of their own (`src/text/text-threads`).
 */

/** Steps of the interpreter for one conversation. Templates take about a hundred for each message. */
const TEMPLATE_STEPS = 4_000_000;
/** Longest text that a template may make, in UTF-16 units. The messages of a request have at most 8 Mi. */
const TEMPLATE_TEXT_CHARS = 16 * 2 ** 20;
/** Longest list that a template may make. */
const TEMPLATE_LIST_ITEMS = 2 ** 20;
/** All texts that a template makes together, in UTF-16 units. */
const TEMPLATE_ALL_CHARS = 512 * 2 ** 20;
/** All items of lists that a template makes together. */
const TEMPLATE_ALL_ITEMS = 8 * 2 ** 20;
/** Longest `range`, as in Jinja's sandbox, in which transformers runs templates. */
const TEMPLATE_RANGE_ITEMS = 100_000;

export class Budget {
  private steps = 0;
  private chars = 0;
  private items = 0;

  step(steps = 1): void {
    this.steps += steps;
    if (this.steps > TEMPLATE_STEPS) throw exceeded(`takes more than ${TEMPLATE_STEPS} steps`);
  }

  /** Counts a value that was made, and returns it. */
  made<T extends JinjaValue>(value: T): T {
    if (typeof value === 'string') this.reserveChars(value.length);
    else if (isList(value)) this.reserveItems(value.length);
    return value;
  }

  /** Counts a text before it is made. */
  reserveChars(length: number): void {
    this.chars += length;
    if (length > TEMPLATE_TEXT_CHARS) throw exceeded(`makes a text of more than ${TEMPLATE_TEXT_CHARS} characters`);
    if (this.chars > TEMPLATE_ALL_CHARS) throw exceeded(`makes texts of more than ${TEMPLATE_ALL_CHARS} characters`);
  }

  /** Counts a list before it is made. */
  reserveItems(length: number): void {
    this.items += length;
    if (length > TEMPLATE_LIST_ITEMS) throw exceeded(`makes a list of more than ${TEMPLATE_LIST_ITEMS} items`);
    if (this.items > TEMPLATE_ALL_ITEMS) throw exceeded(`makes lists of more than ${TEMPLATE_ALL_ITEMS} items`);
  }

  reserveRange(length: number): void {
    if (length > TEMPLATE_RANGE_ITEMS) throw exceeded(`makes a range of more than ${TEMPLATE_RANGE_ITEMS} numbers`);
    this.reserveItems(length);
  }
}

function exceeded(what: string): InvalidRequest {
  return new InvalidRequest(`messages: the model's chat template ${what}`, 'messages');
}
