import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { parseRegex } from '../../../../src/core/constraint/regex-syntax.js';
import { FORMATS } from '../../../../src/core/constraint/string-formats.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { toolFormatOf } from '../../../../src/model/tool-format.js';
import { allows, machineOf, randomText, schemaMachine } from './support.js';

const ajv = addFormats.default(new Ajv2020({ strict: false }), { mode: 'full' });
/** Those for other alphabets, whose texts include the ones of the format without them. */
const WIDER: Readonly<Record<string, string>> = {
  'idn-hostname': 'hostname',
  'idn-email': 'email',
  iri: 'uri',
  'iri-reference': 'uri-reference',
};

/** What answers can have in each format, and what they cannot. */
const EXAMPLES: Readonly<Record<string, readonly [right: readonly string[], wrong: readonly string[]]>> = {
  time: [
    ['23:59:59Z', '00:00:00.5+05:30'],
    ['24:00:00Z', '12:00', '12:00:00', '1:00:00Z'],
  ],
  'iso-time': [['23:59:59', '23:59:59Z'], ['24:00:00']],
  'iso-date-time': [['2026-02-28T23:59:59'], ['2026-02-30T23:59:59']],
  duration: [
    ['P1D', 'PT36H', 'P1Y2M3DT4H5M6S', 'P2W', 'P1M', 'PT1M30S'],
    ['P', 'PT', 'P1', '1D', 'P1W2D', 'P1YT', 'P1Y3D', 'PT1H3S', 'P1D2M'],
  ],
  hostname: [
    ['localhost', 'Example.com', 'a-b.c1.d.e.f.g', `${'a'.repeat(63)}.org`],
    ['', '-a.b', 'a-.b', 'a..b', '.a', 'a b', 'a_b', 'a'.repeat(64)],
  ],
  ipv4: [
    ['0.0.0.0', '255.249.199.9'],
    ['256.0.0.1', '1.2.3', '1.2.3.4.5', '01.2.3.4'],
  ],
  ipv6: [
    ['::', '::1', 'fe80::1', '2001:db8:0:0:8:800:200C:417A', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '::ffff:10.0.0.1'],
    ['', ':', '1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', '::1:2:3:4:5:6:7:8', '10.0.0.1'],
  ],
  uuid: [['123e4567-e89b-12d3-a456-426614174000'], ['123e4567e89b12d3a456426614174000', 'x']],
  uri: [
    [
      'https://example.com',
      'http://a.b:8080/c/d%20e?f=g&h#i',
      'mailto:mara@example.com',
      'urn:isbn:0451450523',
      'file:/a',
    ],
    ['', 'example.com', '//a.b', 'http://a b', 'http:', 'http://', '1a:b', 'http://a/%2'],
  ],
  'uri-reference': [
    ['', '/a/b?c#d', 'a/b', '../a', '#d', '//a.b/c', 'https://example.com/a'],
    ['a b', '%', 'http://a b'],
  ],
  'uri-template': [
    ['https://a.b/{c}{?d,e*}', 'x', '{+a:3}'],
    ['{', '{a', 'a}', '{a b}', '%'],
  ],
  url: [
    ['https://example.com/a?b=c#d', 'http://a.example.org:8080'],
    ['ftp:/x', 'https://localhost', 'https://a.b/c d', 'mailto:a@b.c'],
  ],
  'json-pointer': [
    ['', '/a/0/~0~1', '/a b'],
    ['a', '/~', '/~2'],
  ],
  'relative-json-pointer': [
    ['0', '1/a', '2#'],
    ['/a', '01', '-1', '1#/a'],
  ],
  'json-pointer-uri-fragment': [
    ['#', '#/a/%20'],
    ['', '/a', '#/a b'],
  ],
  byte: [
    ['', 'YQ==', 'YWI=', 'YWJj'],
    ['a', 'YQ=', 'YWJj='],
  ],
};

describe('a format of strings', () => {
  it.each(Object.keys(FORMATS))('%s allows only texts that have it', (format) => {
    const validate = ajv.compile({ type: 'string', format: WIDER[format] ?? format });
    const machine = schemaMachine({ type: 'string', format });
    const texts = Array.from({ length: 200 }, (_, seed) => randomText(machine, seed)).filter((text) => text !== null);
    expect(texts.length).toBeGreaterThan(50);
    expect(texts.filter((text) => !validate(JSON.parse(text)))).toEqual([]);
  });

  it.each(Object.entries(EXAMPLES))('%s allows its usual forms', (format, [right, wrong]) => {
    const machine = schemaMachine({ type: 'string', format });
    const allowed = (text: string) => allows(machine, JSON.stringify(text));
    expect(right.filter((text) => !allowed(text))).toEqual([]);
    expect(wrong.filter(allowed)).toEqual([]);
  });

  it('means the same to the checker of listed values', () => {
    for (const [format, [right]] of Object.entries(EXAMPLES)) {
      expect(() => parseRegex(FORMATS[format]!)).not.toThrow();
      expect(allows(schemaMachine({ format, enum: [right[0]!] }), JSON.stringify(right[0]))).toBe(true);
    }
  });

  it('goes with bounds on the length that all of its texts keep, as Pydantic writes them', () => {
    for (const format of ['uri', 'uri-reference', 'url']) {
      const machine = schemaMachine({ type: 'string', format, maxLength: 2083 });
      expect(allows(machine, '"https://example.com/"')).toBe(true);
    }
    expect(() => schemaMachine({ type: 'string', format: 'uri', minLength: 1 })).not.toThrow();
    expect(() => schemaMachine({ type: 'string', format: 'email', maxLength: 254 })).not.toThrow();
    expect(() => schemaMachine({ type: 'string', format: 'hostname', maxLength: 253 })).not.toThrow();
    const uuid = { type: 'string', format: 'uuid', minLength: 36, maxLength: 36 };
    expect(allows(schemaMachine(uuid), '"123e4567-e89b-12d3-a456-426614174000"')).toBe(true);
    expect(() => schemaMachine({ ...uuid, maxLength: 35 })).toThrow(/^no value/);
    const pointer = schemaMachine({ type: 'string', format: 'json-pointer', maxLength: 9 });
    expect(['"/abc/defg"', '"/abcdefghi"', '"abc"'].map((text) => allows(pointer, text))).toEqual([true, false, false]);
  });

  it('takes its states once for all texts that have it, also in several tools', () => {
    const properties = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`p${i}`, { type: 'string', format: i % 2 ? 'hostname' : 'uri' }]),
    );
    expect(() => schemaMachine({ type: 'object', properties })).not.toThrow();
    const tools = Object.keys(properties).map((name) => ({
      name,
      schema: { type: 'object', properties: { a: properties[name]! } },
    }));
    const { form } = toolFormatOf('hermes', null);
    expect(() => machineOf({ type: 'calls', form, specials: [], tools, most: 'one' })).not.toThrow();
  });

  it('is refused if it is known and cannot be honoured, and else an annotation', () => {
    expect(() => schemaMachine({ type: 'string', format: 'regex' })).toThrow(InvalidRequest);
    expect(() => schemaMachine({ type: 'string', format: 'regex' })).toThrow(/^format: 'regex'/);
    expect(allows(schemaMachine({ type: 'string', format: 'colour' }), '"red"')).toBe(true);
    expect(allows(schemaMachine({ type: 'string', format: 'password' }), '"red"')).toBe(true);
  });
});

describe('a format of numbers', () => {
  it('bounds integers as OpenAPI has it', () => {
    const allowed = (format: string, type: string, texts: readonly string[]) =>
      texts.filter((text) => allows(schemaMachine({ type, format }), text));
    const texts = ['2147483647', '-2147483648', '2147483648', '-2147483649', '1.5'];
    expect(allowed('int32', 'integer', texts)).toEqual(texts.slice(0, 2));
    expect(allowed('int32', 'number', texts)).toEqual(texts.slice(0, 2));
    expect(allowed('int64', 'number', texts)).toEqual(texts.slice(0, 4));
    expect(allowed('double', 'number', texts)).toEqual(texts);
  });
});
