import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { JinjaTemplate } from '../../../../src/model/jinja/template.js';

/** Templates with the texts that Python's jinja2 makes of them, set up as transformers does. */
interface Vectors {
  readonly variables: Readonly<Record<string, unknown>>;
  readonly cases: readonly { readonly template: string; readonly text?: string; readonly refused?: true }[];
}

const { variables, cases } = JSON.parse(
  readFileSync(new URL('../../../vectors/jinja.json', import.meta.url), 'utf8'),
) as Vectors;

const render = (template: string, more: Record<string, unknown> = {}) =>
  new JinjaTemplate(template).render({ ...variables, ...more });

describe('a Jinja template', () => {
  it.each(cases.filter(({ refused }) => !refused))(
    'makes the text that Python makes of $template',
    ({ template, text }) => {
      expect(render(template)).toBe(text);
    },
  );

  it.each(cases.filter(({ refused }) => refused))('refuses, as Python does, $template', ({ template }) => {
    expect(() => render(template)).toThrow();
  });

  it.each([
    ["{{ messages | groupby('role') }}", /the filter 'groupby' is not supported/],
    ["{{ '<' | escape }}", /the filter 'escape' is not supported/],
    ["{{ '%d' % 3 }}", /the operator '%' of texts is not supported/],
    ["{{ '{}'.format(1) }}", /'str object' has no attribute 'format'/],
    ['{{ 9007199254740991 * 3 }}', /an integer is too large/],
    ['{{ messages.append }}{{ messages.append(1) }}', /attribute 'append' of 'list' object is unsafe/],
    ['{{ range }}', /a function cannot be printed/],
    ['{{ 12345678901234567 }}', /the integer 12345678901234567 is too large/],
    ["{{ '12345678901234567' | int }}", /an integer is too large/],
    ["{{ '\\N{BULLET}' }}", /a string has the escape \\N, which is not supported/],
    ["{{ '\\x4' }}", /a string has the escape \\x, which is not supported or damaged/],
    ['{{ {true: 1} }}', /keys of the type bool are not supported/],
    ["{{ cycler('a') }}", /'cycler' is not supported/],
    ['{% with a = 1 %}{% endwith %}', /Unknown statement type: with/],
  ])('refuses what it does not support with the reason: %s', (template, reason) => {
    expect(() => render(template)).toThrow(reason);
  });

  it.each([
    ["{{ 'a' * 100000000 }}", /makes a text of more than/],
    ['{{ [1] * 100000000 }}', /makes a list of more than/],
    ["{{ 'a'.zfill(100000000) }}", /makes a text of more than/],
    ["{{ 'a'.center(100000000) }}", /makes a text of more than/],
    ["{{ ('a' * 1000000).replace('a', 'b' * 1000) }}", /makes a text of more than/],
    ["{{ ('a' * 100000).replace('', 'b' * 1000) }}", /makes a text of more than/],
    ['{{ range(100001) }}', /makes a range of more than/],
    ['{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}', /takes more than \d+ steps/],
    [
      "{% set ns = namespace(s='a') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      /makes a text/,
    ],
    ["{{ (['a' * 1000000] * 100) | join }}", /makes a text of more than/],
  ])('is stopped before it exhausts memory or time: %s', (template, reason) => {
    expect(() => render(template)).toThrow(reason);
  });

  it('has the local time in the words of the locale C', () => {
    const format = '%Y|%m|%d|%B|%A|%-d|%%|%Q';
    const [year, month, day, name, weekday, short, percent, unknown] = render('{{ strftime_now(format) }}', {
      format,
    }).split('|');
    expect([year, month, day].join('-')).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(name).toMatch(/^[A-Z][a-z]+$/);
    expect(weekday).toMatch(/day$/);
    expect([Number(short), percent, unknown]).toEqual([Number(day), '%', '%Q']);
  });

  it('prints null of a request as Python prints None', () => {
    expect(render('{{ a }}{{ a is none }}', { a: null })).toBe('NoneTrue');
  });
});
