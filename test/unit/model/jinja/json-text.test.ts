import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromJsonText } from '../../../../src/model/jinja/json-text.js';
import { JinjaTemplate } from '../../../../src/model/jinja/template.js';
import { fromJson } from '../../../../src/model/jinja/values.js';

const printed = (text: string) => new JinjaTemplate('{{ value | tojson }}').render({ value: fromJsonText(text) });

describe('JSON for a template', () => {
  it.each([
    '{"city": "Z", "10": 1, "2": {"b": 2, "1": 3}}',
    '[1, 1.0, 0.5, -2.0, 100000.0, -0.0, 0]',
    '{"a": "\\"}{\\\\", "": [[], {}, null, true, false]}',
    '"text"',
  ])('is printed as Python prints it: %s', (text) => {
    expect(printed(text)).toBe(text);
  });

  it('has the last value of a name that occurs twice in the place of the first', () => {
    expect(printed('{"a": 1, "b": 2, "a": 3}')).toBe('{"a": 3, "b": 2}');
  });

  it('is what JSON.parse reads, but for the order of names and the kinds of numbers', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('', '\n  '), (json, indent) => {
        const value: unknown = JSON.parse(json);
        const text = JSON.stringify(value, null, indent);
        if (!/[\de.]e|[\d]\.|"\d+":/i.test(text)) expect(fromJsonText(` ${text}\t`)).toEqual(fromJson(value));
      }),
    );
  });

  it('is refused if it is none', () => {
    for (const text of ['', '{"a": 1', '{"a" 1}', '[1 2]', 'NaN', '01', '{"a": 1}}'])
      expect(() => fromJsonText(text)).toThrow(SyntaxError);
  });
});
