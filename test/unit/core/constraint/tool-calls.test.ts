import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { messageReader } from '../../../../coordinator/openai/message/message-reader.js';
import { tokenText } from '../../../../coordinator/openai/message/token-mark.js';
import { toolFormatInText } from '../../../../coordinator/openai/message/tool-format-in-text.js';
import { addPiece, type WholeCall } from '../../../../coordinator/openai/message/whole-call.js';
import { type Constraint, compileConstraint } from '../../../../src/core/constraint/constraint.js';
import { ConstraintMachine, type Position } from '../../../../src/core/constraint/machine.js';
import type { JsonSchema } from '../../../../src/core/constraint/schema-facts.js';
import { programBytes, SPECIAL_BYTE } from '../../../../src/core/constraint/special-text.js';
import { TokenTrie } from '../../../../src/core/constraint/token-trie.js';
import { uniformAt } from '../../../../src/core/sampling/philox.js';
import { type ToolFormat, toolFormatOf } from '../../../../src/model/tool-format.js';
import { FAMILIES } from '../../coordinator/support/families.js';

const ajv = new Ajv2020({ strict: false, formats: { date: true } });

/** Schemas with everything that families write in their own way. */
const TOOLS: readonly { readonly name: string; readonly schema: JsonSchema }[] = [
  { name: 'get_time', schema: { type: 'object', properties: {} } },
  {
    name: 'get_weather',
    schema: {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 12 },
        'max-days': { type: 'integer', minimum: -9, maximum: 99 },
        unit: { enum: ['C', 'F', null, true, 7.5, ['a', { b: false }]] },
        deep: {
          type: 'object',
          properties: {
            ok: { type: 'boolean' },
            no: { type: 'null' },
            when: { type: 'string', pattern: '^[a-z"\\\\]{1,4}$' },
          },
          required: ['ok'],
        },
        list: { type: 'array', items: { anyOf: [{ type: 'number' }, { type: 'string', maxLength: 3 }] }, maxItems: 3 },
        map: { type: 'object', additionalProperties: { type: 'integer', minimum: 0, maximum: 9 } },
      },
      required: ['city', 'unit'],
    },
  },
  { name: 'any', schema: { type: 'object' } },
  {
    name: 'either',
    schema: {
      anyOf: [
        { type: 'object', properties: { a: { const: 1 } }, required: ['a'] },
        { type: 'object', properties: { b: { $ref: '#' } }, required: ['b'] },
      ],
    },
  },
];

/** The bytes of a text that the program allows, by random steps which prefer to close what is open. */
function randomBytes(machine: ConstraintMachine, seed: number): Uint8Array | null {
  const bytes: number[] = [];
  let position: Position = machine.start;
  for (let i = 0; i < 2_000; i++) {
    const draw = uniformAt(seed, 2 * i);
    if (position.complete && draw < 0.7) break;
    const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => position.next(byte) !== null);
    if (next.length === 0) break;
    const closing = next.filter((byte) => byte === SPECIAL_BYTE || '"]})<'.includes(String.fromCharCode(byte)));
    const from = closing.length > 0 && draw < 0.7 ? closing : next;
    const byte = from[Math.floor(uniformAt(seed, 2 * i + 1) * from.length)]!;
    bytes.push(byte);
    position = position.next(byte)!;
  }
  return position.complete ? Uint8Array.from(bytes) : null;
}

/** The text for a reader of messages. */
function textOf(bytes: Uint8Array): string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const [first, ...others] = Buffer.from(bytes).toString('latin1').split(String.fromCharCode(SPECIAL_BYTE));
  const decoded = (part: string) => decoder.decode(Buffer.from(part, 'latin1'));
  return decoded(first!) + others.map((part) => tokenText(decoded(part))).join('');
}

function callsIn(
  text: string,
  format: ToolFormat,
  specials: readonly string[],
  tools: readonly { readonly name: string }[] = TOOLS,
): WholeCall[] {
  const names = new Set(tools.map(({ name }) => name));
  const inText = toolFormatInText(format, specials);
  const calls = { format: inText, enforced: true, most: 'many' as const, names, newId: () => 'id' };
  const reader = messageReader(
    format.syntax.type === 'harmony'
      ? { form: 'channels', begins: 'header', enforced: true, specials, reasons: true, calls }
      : { form: 'marked', reasoning: null, calls },
  );
  const found: WholeCall[] = [];
  for (const part of [...[...text].map((character) => reader.push(character)), reader.flush(false)]) {
    expect([text, part.text]).toEqual([text, '']);
    for (const piece of part.calls) addPiece(found, piece);
  }
  return found;
}

describe.each(FAMILIES.flatMap((family) => [family, { ...family, specials: [] }]))(
  'calls that must be written, in the form of $parser with the special tokens $specials',
  ({ parser, template, specials, turn }) => {
    const format = toolFormatOf(parser, template);
    const most = parser === 'openai' ? 'one' : 'many';
    const calls = { type: 'calls', form: format.form, specials, most } as const;
    const machineOf = (constraint: Constraint) => new ConstraintMachine(compileConstraint(constraint), 2 ** 22);
    const allows = (machine: ConstraintMachine, bytes: Uint8Array) => {
      let position: Position | null = machine.start;
      for (const byte of bytes) position = position?.next(byte) ?? null;
      return position?.complete ?? false;
    };

    it('may be what the model writes by itself', () => {
      const object = { type: 'object', additionalProperties: true };
      const tools = ['get_weather', 'get_time'].map((name) => ({ name, schema: object }));
      const machine = machineOf({ ...calls, tools });
      // JSON without blanks, and Python's own quotation marks, are not among the texts of a constraint.
      const quoted = turn.replaceAll("'", '"').replaceAll('no:None', 'no:null').replaceAll('":', '": ');
      // Nor is the beginning of a mark around strings that is no special token.
      const inMarks = format.syntax.type === 'gemma' && specials.length === 0;
      const written = quoted.replaceAll(':  ', ': ').replaceAll('<b>', inMarks ? 'b' : '<b>');
      const bytes = programBytes(written, specials);
      const own = programBytes(turn, specials);
      expect(allows(machine, bytes) || allows(machine, own)).toBe(true);
      if (specials.length > 0 && bytes.includes(SPECIAL_BYTE))
        expect(allows(machine, Buffer.from(written))).toBe(false);
      const named = machineOf({ ...calls, tools: tools.slice(0, 1), most: 'one' });
      expect(allows(named, bytes) || allows(named, own)).toBe(parser === 'openai');
    });

    it.each<[string, JsonSchema]>([
      ['nothing', {}],
      ['a description alone', { description: 'x' }],
      ['no type', { properties: { a: { type: 'integer' } } }],
      ['several types', { type: ['string', 'object', 'null'] }],
      ['a choice', { anyOf: [{ type: 'array' }, { properties: { a: { type: 'string', maxLength: 3 } } }] }],
      ['a reference', { $ref: '#/$defs/any', $defs: { any: {} } }],
    ])('have an object as arguments where the schema says %s', (_, schema) => {
      const machine = machineOf({ ...calls, tools: [{ name: 'any', schema }] });
      let finished = 0;
      for (let seed = 0; seed < 4; seed++) {
        const bytes = randomBytes(machine, seed);
        if (bytes === null) continue;
        finished++;
        const values = callsIn(textOf(bytes), format, specials, [{ name: 'any' }]).map(
          (call) => JSON.parse(call.arguments) as unknown,
        );
        expect(values.length).toBeGreaterThan(0);
        for (const value of values) expect([value, ajv.validate({ type: 'object' }, value)]).toEqual([value, true]);
      }
      expect(finished).toBeGreaterThan(0);
    });

    it('are refused by the name of the tool whose schema accepts no object', () => {
      for (const schema of [
        { type: 'array' },
        { anyOf: [{ type: 'string' }, { type: 'null' }] },
        { type: 'object', properties: { a: false }, required: ['a'] },
      ])
        expect(() => machineOf({ ...calls, tools: [...TOOLS, { name: 'wrong', schema }] })).toThrow(
          'wrong: parameters: no object can satisfy the schema',
        );
    });

    it('are read as calls whose arguments satisfy the schemas, whatever they say', () => {
      const machine = machineOf({ ...calls, tools: TOOLS });
      let [finished, named] = [0, new Set<string>()];
      for (let seed = 0; seed < 50; seed++) {
        const bytes = randomBytes(machine, seed);
        if (bytes === null) continue;
        finished++;
        const found = callsIn(textOf(bytes), format, specials);
        expect(found.length).toBeGreaterThan(0);
        for (const { name, arguments: json } of found) {
          const { schema } = TOOLS.find((tool) => tool.name === name)!;
          expect([textOf(bytes), json, ajv.validate(schema as object, JSON.parse(json))]).toEqual([
            textOf(bytes),
            json,
            true,
          ]);
          named.add(name);
        }
      }
      expect(finished).toBeGreaterThan(10);
      expect(named.size).toBe(TOOLS.length);
    });
  },
);

/** Texts that stand in marks of some family, or in its strings. */
const HARD_TEXTS = [
  ...['a <|end|> b', '<|call|>', '<|start|>', '<|channel|>analysis<|message|>x', '<|return|>', '</tool_call>', '```'],
  ...['<escape>', 'a<escape>}<end_function_call>', '<|"|>', '<tool_call|>', '[ARGS]', '[TOOL_CALLS]', '"', '\\', "'"],
  ...['<｜tool▁call▁end｜>', '<|python_end|>', 'a:b', 'a<b', '{', '', ' x ', 'x ', '\u{10fc00}', 'é😀', '\u2028'],
];
const HARD_NAMES = [
  'a/b',
  'ü',
  '日本',
  'a;b',
  '$x',
  'a@b',
  'a.b-c',
  'a b',
  'a=b',
  'a|b',
  "a'b",
  'q"',
  '[ARGS]',
  '<b>',
  '😀',
  '1',
];

describe.each(FAMILIES.flatMap((family) => [family, { ...family, specials: [] }]))(
  'what the form of $parser cannot read back, with the special tokens $specials,',
  ({ parser, template, specials }) => {
    const format = toolFormatOf(parser, template);

    /** Whether calls of a tool are refused; else they are read as calls of it that satisfy its schema. */
    function isRefused(name: string, schema: JsonSchema, reason: RegExp): boolean {
      const tools = [{ name, schema }];
      let machine: ConstraintMachine;
      try {
        const calls = { type: 'calls', form: format.form, specials, tools, most: 'one' } as const;
        machine = new ConstraintMachine(compileConstraint(calls), 2 ** 22);
      } catch (error) {
        expect((error as Error).message).toMatch(reason);
        return true;
      }
      const bytes = randomBytes(machine, 1)!;
      const found = callsIn(textOf(bytes), format, specials, tools);
      expect([name, found.map((call) => call.name)]).toEqual([name, [name]]);
      expect([schema, ajv.validate(schema, JSON.parse(found[0]!.arguments))]).toEqual([schema, true]);
      return false;
    }
    const objectOf = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
      type: 'object',
      properties,
      required: Object.keys(properties),
    });
    const quotes = format.syntax.type === 'gemma' && specials.length === 0;

    it('is refused as a value, and as the name of a property in another', () => {
      for (const text of HARD_TEXTS) {
        const refused = quotes && text.includes('<');
        const nested = objectOf({ [text]: { const: 1 } });
        const each = { a: { const: text }, b: { enum: [{ [text]: [text] }] }, c: nested };
        const alone = Object.entries(each).map(([name, schema]) => objectOf({ [name]: schema }));
        for (const schema of refused ? alone : [objectOf(each)])
          expect([schema, isRefused('f', schema, /cannot write/)]).toEqual([schema, refused]);
        isRefused('f', objectOf({ [text]: { const: 1 } }), /cannot write an argument named/);
      }
    });

    it('is refused as the name of a tool', () => {
      for (const name of HARD_NAMES) {
        const refused = isRefused(name, objectOf({ a: { const: 1 } }), /cannot write this name/);
        expect([name, refused]).toEqual([name, format.form.name === 'bare' && /[\s=|'"[<]/.test(name)]);
      }
    });
  },
);

describe('calls that may stand in a text', () => {
  const gemma = toolFormatOf('gemma4', null);
  const tools = [{ name: 'f', schema: { type: 'object', properties: { a: { type: 'string' } } } }];
  const base = { type: 'calls', form: gemma.form, tools, most: 'many', mark: '<|tool_call>' } as const;
  const specials = ['<|tool_call>', '<tool_call|>', '<|"|>', '<|channel>', '<channel|>'];

  function allowed(constraint: Constraint, text: string): boolean {
    let position: Position | null = new ConstraintMachine(compileConstraint(constraint), 2 ** 22).start;
    for (const byte of programBytes(text, constraint.type === 'calls' ? constraint.specials : []))
      position = position?.next(byte) ?? null;
    return position?.complete ?? false;
  }

  it('begin with a special token, and the text has those of reasoning and no others', () => {
    const constraint: Constraint = { ...base, specials, passing: ['<|channel>', '<channel|>'] };
    const call = '<|tool_call>call:f{a:<|"|>x "y" <b><|"|>}<tool_call|>';
    for (const right of ['', 'Hm é', call, `<|channel>thought\nHm<channel|>Look. ${call}${call} Done.`])
      expect([right, allowed(constraint, right)]).toEqual([right, true]);
    for (const wrong of [
      '<|tool_call>',
      'a<tool_call|>',
      '<|tool_call>call:g{}<tool_call|>',
      call.replace('a:', 'b:'),
      call.slice(0, -12),
    ])
      expect([wrong, allowed(constraint, wrong)]).toEqual([wrong, false]);
    expect(allowed({ ...constraint, passing: [] }, '<|channel>')).toBe(false);
  });

  it('cannot be spelled by other tokens, even by those with the byte of special ones', () => {
    const constraint: Constraint = { ...base, specials };
    const machine = new ConstraintMachine(compileConstraint(constraint), 2 ** 22);
    const tokens = [Buffer.from('<|tool_call>'), programBytes('<|tool_call>', specials), Buffer.from('a')];
    const trie = new TokenTrie(tokens.length, (id) => tokens[id]!);
    expect(machine.start.mask(trie)[0]).toBe(0b111);
    const spelled = trie.after(machine.start, 0)!;
    expect(spelled.complete).toBe(true);
    expect(trie.after(machine.start, 1)!.complete).toBe(false);
  });

  it.each([
    ['a name that ends the name', 'a b', {}, /a b: the model cannot write this name/],
    ['an argument with an equals sign', 'f', { 'a=b': {} }, /cannot write an argument named "a=b"/],
  ])('are refused with %s, where the form has no quotation marks for it', (_, name, properties, message) => {
    const { form } = toolFormatOf('pythonic', null);
    const constraint: Constraint = {
      ...base,
      form,
      specials,
      tools: [{ name, schema: { type: 'object', properties } }],
    };
    expect(() => compileConstraint(constraint)).toThrow(message);
  });
});
