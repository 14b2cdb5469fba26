// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source text
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { errorMessages, type MessagePositions, styleFaults } from '../support/error-messages.js';

/** All error messages of the tree, checked against one style; and a test of the scanner that collects them. */

const ROOT = join(import.meta.dirname, '../..');
const FOLDERS = ['src', 'coordinator', 'workers', 'cli'];

/** Position of the message among the arguments of each class or function. `super`: in a class of errors. */
const POSITIONS: MessagePositions = new Map([
  ['InvalidRequest', 0],
  ['PoisonousPrompt', 0],
  ['TemplateError', 0],
  ['ActorDied', 0],
  ['TaskLost', 0],
  ['ObjectLost', 0],
  ['CallCircle', 0],
  ['HubUnavailable', 0],
  ['ConstraintTooLarge', 0],
  ['TooAmbiguous', 0],
  ['BrokenReply', 0],
  ['Unheard', 0],
  ['Unsupported', 0],
  ['NoSuchActor', 0],
  ['RunFailed', 0],
  ['NoRegularFile', 0],
  ['Overloaded', 0],
  ['Unavailable', 0],
  ['Cancelled', 0],
  ['DeadlineExceeded', 0],
  ['Refused', 0],
  ['Corrupt', 0],
  ['InternalError', 0],
  ['WrongUsage', 0],
  ['Error', 0],
  ['TypeError', 0],
  ['RangeError', 0],
  ['super', 0],
  ['ApiError', 1],
  ['contextLengthExceeded', 0],
]);

const messages = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .flatMap((name) => {
      const path = join(folder, name);
      const found = errorMessages(readFileSync(join(ROOT, path), 'utf8'), POSITIONS);
      return found.map(({ line, text }) => ({ path, line, text, faults: styleFaults(text) }));
    }),
);
const isIn = (path: string, place: string) => path === place || path.startsWith(`${place}/`);

describe('the error messages of the tree', () => {
  it('are found', () => {
    expect(messages.length).toBeGreaterThan(250);
    expect(messages.filter(({ path }) => isIn(path, 'coordinator')).length).toBeGreaterThan(40);
  });

  it('follow the style', () => {
    const wrong = messages.filter(({ faults }) => faults.length > 0);
    expect(wrong.map(({ path, line, text, faults }) => `${path}:${line}: ${faults.join(', ')}: ${text}`)).toEqual([]);
  });
});

describe('the scanner', () => {
  const textsOf = (source: string) => errorMessages(source, POSITIONS).map(({ text }) => text);

  it('reads strings, templates, concatenations and conditionals', () => {
    expect(textsOf("throw new Refused('it\\'s wrong', { cause });")).toEqual(["it's wrong"]);
    expect(textsOf('new Corrupt(`${a}: ${f(`x${b}}`, { c: "}" })} is ${n} bytes`)')).toEqual(['{}: {} is {} bytes']);
    expect(textsOf("new Overloaded('a ' +\n  `b ${c} ` + name + (x ? 'y' : 'z'))")).toEqual(['a b {} {}{}']);
    expect(textsOf("new Cancelled(x?.y ?? z ? 'first' : y ? 'second' : 'third')")).toEqual([
      'first',
      'second',
      'third',
    ]);
    expect(textsOf("new ApiError(f(1, [2, 3]), 'second', { code: 'x' })")).toEqual(['second']);
  });

  it('reads a message from a constant, the last one before', () => {
    expect(textsOf("const m = 'old'; const m = `new ${x}`;\nthrow new Refused(m); const m = 'later';")).toEqual([
      'new {}',
    ]);
  });

  it('skips comments, strings, regular expressions, declarations, and messages that the source does not hold', () => {
    const source = [
      "// new Refused('comment')",
      "/* new Refused('comment') */ const a = \"new Refused('string')\";",
      "const b = /new Refused\\('[/`]'\\)/.test(c) && d / 2;",
      'class Refused extends Base { constructor(message) { super(message); } }',
      'throw new Refused(error.message);',
      "throw new Refused('found');",
    ].join('\n');
    expect(errorMessages(source, POSITIONS)).toEqual([{ line: 6, text: 'found' }]);
  });

  it('finds each fault of a bad message', () => {
    expect(styleFaults('Something failed.')).toEqual(['starts with a capital', 'ends with a period']);
    expect(styleFaults('it failed. Try again')).toEqual(['has two sentences']);
    expect(styleFaults('stop it now!')).toEqual(['has an exclamation mark']);
    expect(styleFaults('x'.repeat(201))).toEqual(['is longer than 200 characters']);
    expect(styleFaults('990 is no token id')).toEqual(['says "is no"']);
    expect(styleFaults('the one who asked does not know what is wrong')).toEqual(['says "what is"', 'says "who"']);
    for (const text of ['n: is {}; must be 1 to {}', 'n: must have {} items; has {}', 'n: must be {}; got {}'])
      expect(styleFaults(text)).toEqual(['does not say "must be ..., got ..."']);
    expect(styleFaults('it need be started anew, howsoever')).toEqual([
      'says "need be"',
      'says "soever"',
      'says "anew"',
    ]);
  });

  it('accepts names, acronyms and placeholders at the start', () => {
    for (const text of [
      'NATS is not connected',
      'JetStream is off',
      '{} is too large',
      '--port: must be a number',
      'SHOAL_SECRET: is missing',
      'K/V does not fit',
      'Node 20 is required',
      'max_tokens: may be 0 only with echo',
      'the worker is no longer there; there is no other',
      `${'x'.repeat(200)}{}`,
    ]) {
      expect([text, styleFaults(text)]).toEqual([text, []]);
    }
  });
});
