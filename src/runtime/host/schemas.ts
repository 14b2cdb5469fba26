import { InvalidRequest } from '../../errors.js';

/**
 * Schemas that users' code declares of its arguments and results: `static schemas = { add: { args: z.tuple([z.number()]), result: z.number() } }` of a
 * class, with the key `constructor` for its constructor; `fn.schema = { args, result }` of a function. Anything with zod's `safeParse` will do.
 */

interface Schema {
  safeParse(value: unknown): Parsed;
}

type Parsed =
  | { readonly success: true; readonly data: unknown }
  | {
      readonly success: false;
      readonly error: {
        readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
      };
    };

/** The declared schemas of one method or function. */
export interface CallSchema {
  /** Of the list of arguments. */
  readonly args?: Schema;
  /** Of the result; of each item of a stream. */
  readonly result?: Schema;
}

/** The schemas that a class declares for a method. */
export function methodSchema(Class: unknown, method: string): CallSchema {
  const { schemas } = Class as { schemas?: unknown };
  if (typeof schemas !== 'object' || schemas === null || !Object.hasOwn(schemas, method)) return {};
  return (schemas as Record<string, CallSchema>)[method] ?? {};
}

/** The schemas that a function declares. */
export function functionSchema(fn: unknown): CallSchema {
  return (fn as { schema?: CallSchema }).schema ?? {};
}

/** The arguments as the schema gives them. @throws InvalidRequest, `param` has the path */
export function checkedArguments({ args: schema }: CallSchema, label: string, args: readonly unknown[]) {
  return schema ? (checked(schema, `the list of arguments of ${label}`, args) as readonly unknown[]) : args;
}

/** Runs code on arguments that fit its schema, and checks its result, or each item of the iterable that it returns. */
export function checkedCall(
  schema: CallSchema,
  label: string,
  args: readonly unknown[],
  run: (args: never[]) => unknown,
): unknown {
  const result = run(checkedArguments(schema, label, args) as never[]);
  const { result: expected } = schema;
  if (!expected) return result;
  const check = (value: unknown) => checked(expected, `the result of ${label}`, value);
  if (isIterator(result)) return checkedItems(result, check);
  return result instanceof Promise ? result.then(check) : check(result);
}

function isIterator(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function';
}

async function* checkedItems(items: AsyncIterable<unknown> | Iterable<unknown>, check: (item: unknown) => unknown) {
  for await (const item of items) yield check(item);
}

function checked(schema: Schema, what: string, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String).join('.') ?? '';
  throw new InvalidRequest(
    `${path && `${path}: `}${what} does not fit the schema: ${issue?.message}`,
    path || undefined,
  );
}
