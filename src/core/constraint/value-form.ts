/** How families of models write the values of arguments. */

export interface ValueForm {
  readonly words: Readonly<Record<'true' | 'false' | 'null', string>>;
  /** Stands on both sides of a string, whose characters are then as they are. Null: strings are those of JSON. */
  readonly quote: string | null;
  /** Whether the members of objects have names without quotation marks, and no blanks stand between parts. */
  readonly bare: boolean;
}

export const JSON_VALUES: ValueForm = {
  words: { true: 'true', false: 'false', null: 'null' },
  quote: null,
  bare: false,
};

/** A string in JSON's form means the same in Python, as far as escapes are written only where they must be. */
export const PYTHON_VALUES: ValueForm = { ...JSON_VALUES, words: { true: 'True', false: 'False', null: 'None' } };

/** The members of the arguments of a call, where they stand without the braces of an object. */
export interface MembersForm {
  /** Between a name, which has no quotation marks, and its value. */
  readonly assign: string;
  readonly separator: string;
}
