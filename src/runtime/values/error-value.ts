import { z } from 'zod';
import * as errors from '../../errors.js';
import { ActorDied, CallCircle, ObjectLost, RemoteError, TaskLost } from '../errors.js';
import { NO_HOOKS, packValue, unpackValue } from './value.js';

/** Errors of user code in messages: name, message, stack, cause and own fields. They arrive in their class where the other side knows it. */

const TEXT_CHARS = 16 * 1024;
const NAME_CHARS = 256;
/** Causes of causes that travel. */
const CAUSES = 8;
/** Errors of an AggregateError that travel, each without causes. */
const ERRORS = 8;
/** Own fields that are larger together are left behind. */
const FIELDS_BYTES = 16 * 1024;

export interface WireThrown {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly cause: WireThrown | null;
  /** Those of an AggregateError. */
  readonly errors?: readonly WireThrown[] | undefined;
  /** Own fields as packed, and whether they are tagged. */
  readonly fields: unknown;
  readonly tagged: boolean;
}

export const WireThrown: z.ZodType<WireThrown> = z.strictObject({
  name: z.string().max(NAME_CHARS),
  message: z.string().max(TEXT_CHARS),
  stack: z.string().max(TEXT_CHARS),
  cause: z.lazy(() => WireThrown.nullable()),
  errors: z.lazy(() => z.array(WireThrown).max(ERRORS)).optional(),
  fields: z.unknown(),
  tagged: z.boolean(),
});

type ErrorClass = abstract new (...args: never[]) => Error;

const KNOWN: readonly ErrorClass[] = [
  ...[Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError],
  ...[ActorDied, CallCircle, ObjectLost, RemoteError, TaskLost],
  ...Object.values(errors).filter((value) => isErrorClass(value)),
];

/** The error classes that a process can rebuild: JavaScript's, shoal's, and registered ones. */
export class ErrorClasses {
  private readonly byName = new Map<string, ErrorClass>(KNOWN.map((known) => [known.name, known]));

  /** A later class of the same name replaces the earlier one. Values that are not classes of errors are left out. */
  add(values: Iterable<unknown>): void {
    for (const value of values) if (isErrorClass(value)) this.byName.set(value.name, value);
  }

  /** Rebuilds an error in its class, without running the constructor; of an unknown class, as `RemoteError`. */
  rebuild(wire: WireThrown): Error {
    const known = this.byName.get(wire.name);
    const error: Error = known ? Object.create(known.prototype) : new RemoteError(wire.message, wire.name);
    const set = (key: string, value: unknown) =>
      Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
    set('message', wire.message);
    set('stack', wire.stack);
    if (wire.cause !== null) set('cause', this.rebuild(wire.cause));
    if (wire.errors !== undefined) {
      const errors = wire.errors.map((one) => this.rebuild(one));
      set('errors', errors);
    }
    const fields = unpackValue(wire.fields, wire.tagged, NO_HOOKS);
    if (typeof fields === 'object' && fields !== null) {
      for (const [key, value] of Object.entries(fields)) {
        Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: true });
      }
    }
    return error;
  }
}

/** Turns anything that was thrown into a message. Never throws: what cannot be read of it stays behind. */
export function packThrown(thrown: unknown, causes = CAUSES): WireThrown {
  if (typeof thrown !== 'object' || thrown === null) {
    return { name: 'Error', message: cut(textOf(thrown)), stack: '', cause: null, fields: null, tagged: false };
  }
  const [message, stack, cause] = [fieldOf(thrown, 'message'), fieldOf(thrown, 'stack'), fieldOf(thrown, 'cause')];
  const name = classNameOf(thrown);
  return {
    name: name.slice(0, NAME_CHARS),
    message: cut(typeof message === 'string' ? message : `an object was thrown, of the class ${name}`),
    stack: cut(typeof stack === 'string' ? stack : ''),
    cause: cause === undefined || causes === 0 ? null : packThrown(cause, causes - 1),
    ...packErrors(thrown, causes),
    ...packFields(thrown),
  };
}

function packErrors(thrown: object, causes: number): Pick<WireThrown, 'errors'> {
  if (causes === 0 || attempt(() => thrown instanceof AggregateError) !== true) return {};
  const errors = fieldOf(thrown, 'errors');
  return Array.isArray(errors) ? { errors: errors.slice(0, ERRORS).map((error) => packThrown(error, 0)) } : {};
}

/** The own enumerable fields, each only if it can be read and sent. */
function packFields(error: object): Pick<WireThrown, 'fields' | 'tagged'> {
  const fields: Record<string, unknown> = {};
  let bytes = 0;
  for (const key of attempt(() => Object.keys(error)) ?? []) {
    if (key === 'message' || key === 'stack' || key === 'cause') continue;
    const value = fieldOf(error, key);
    const packed = attempt(() => packValue(value, NO_HOOKS));
    if (packed === undefined) continue;
    bytes += packed.bytes;
    if (bytes <= FIELDS_BYTES) fields[key] = value;
  }
  const { plain, tagged } = attempt(() => packValue(fields, NO_HOOKS)) ?? NO_FIELDS;
  return { fields: plain, tagged };
}

const NO_FIELDS = { plain: null, tagged: false };

function classNameOf(thrown: object): string {
  const of = fieldOf(thrown, 'constructor');
  const name = typeof of === 'function' ? fieldOf(of, 'name') : null;
  return typeof name === 'string' && name !== '' ? name : 'Object';
}

function textOf(thrown: unknown): string {
  return attempt(() => String(thrown)) ?? `a ${typeof thrown} was thrown`;
}

/** The user's object may be a proxy, or have a getter that throws. */
function fieldOf(of: object, key: string): unknown {
  return attempt(() => Reflect.get(of, key));
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function cut(text: string): string {
  return text.length <= TEXT_CHARS ? text : text.slice(0, TEXT_CHARS);
}

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === 'function' && (value === Error || value.prototype instanceof Error);
}
