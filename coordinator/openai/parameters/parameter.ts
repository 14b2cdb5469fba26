import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';

/** A parameter of a request body: its use by the fleet, and its values. @internal exported for tests. */
export type Parameter<T extends z.ZodType = z.ZodType> = HonouredParameter<T> | InertParameter | RefusedParameter;

/** The answer depends on it. */
export interface HonouredParameter<T extends z.ZodType> {
  readonly use: 'honoured';
  readonly values: T;
  /** For readers of the API's pages. */
  readonly meaning: string;
}

/** Any value gives the right answer, because it does not concern the answer. */
export interface InertParameter {
  readonly use: 'inert';
  readonly values: z.ZodType;
  readonly meaning: string;
}

/** Other servers honour it. Only values that ask for nothing are accepted. */
export interface RefusedParameter {
  readonly use: 'refused';
  readonly values: z.ZodType;
  readonly neutral: readonly unknown[];
  /** The client's alternative. */
  readonly instead: string;
}

/** Parameters by name. */
export type ParameterTable = Readonly<Record<string, Parameter>>;

export function honoured<T extends z.ZodType>(values: T, meaning: string): HonouredParameter<T> {
  return { use: 'honoured', values, meaning };
}

export function inert(values: z.ZodType, meaning: string): InertParameter {
  return { use: 'inert', values: values.optional(), meaning };
}

/** A parameter that may only have one of the values of `neutral`, or be absent. `instead` follows "is not supported". */
export function refused(neutral: readonly unknown[], instead: string): RefusedParameter {
  const allowed = neutral.map((value) => JSON.stringify(value)).join(' or ');
  const error = `is not supported; ${instead}${allowed === '' ? '' : ` (it may be ${allowed})`}`;
  const values = z
    .unknown()
    .refine((value) => value === undefined || neutral.some((other) => isDeepStrictEqual(value, other)), error)
    .optional()
    .meta({ override: { enum: [...neutral, null] } });
  return { use: 'refused', values, neutral, instead };
}

type HonouredShape<T extends ParameterTable> = {
  [K in keyof T as T[K] extends HonouredParameter<z.ZodType> ? K : never]: T[K] extends HonouredParameter<infer V>
    ? V
    : never;
};

/** The documentation of a parameter. */
function textOf(parameter: Parameter): string {
  switch (parameter.use) {
    case 'honoured':
      return parameter.meaning;
    case 'inert':
      return `Has no effect. ${parameter.meaning}`;
    case 'refused':
      return `Not supported; ${parameter.instead}.`;
  }
}

/** The checker of a body with these parameters. Its type has the honoured ones. */
export function objectOf<T extends ParameterTable>(table: T): z.ZodObject<HonouredShape<T>> {
  const shape = Object.fromEntries(
    Object.entries(table).map(([name, parameter]) => [name, parameter.values.describe(textOf(parameter))]),
  );
  return z.object(shape) as unknown as z.ZodObject<HonouredShape<T>>;
}
