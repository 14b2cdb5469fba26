import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Constraint, compileConstraint } from '../../../src/core/constraint/constraint.js';
import type { JsonSchema } from '../../../src/core/constraint/schema-facts.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { vocabularyOf } from '../../../src/model/vocabulary.js';
import { type Answer, ask, Rig } from './support/rig.js';

const RECALL = fileURLToPath(new URL('../../../models/recall', import.meta.url));
const PERSON: JsonSchema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 8 },
    age: { type: 'integer', minimum: 0, maximum: 130 },
    tags: { type: 'array', items: { enum: ['red', 'grün', null] }, maxItems: 2 },
  },
  required: ['name', 'age'],
  additionalProperties: false,
};

let rig: Rig;
let tokenizer: Tokenizer;

beforeAll(async () => {
  const folder = await openModelFolder(RECALL);
  tokenizer = await Tokenizer.load(folder);
  rig = await Rig.open(folder, { vocabulary: await vocabularyOf(folder, tokenizer.vocabSize) });
});
afterAll(async () => expect(await rig.close()).toEqual([]));

const programOf = (constraint: Constraint) => new Uint8Array(compileConstraint(constraint).buffer);

function request(constraint: Constraint, seed: number, generated: readonly number[] = []) {
  const prompt = tokenizer.encode('Q: Who is it?\nA:');
  return ask([...prompt, ...generated], {
    resumeTokens: generated.length,
    sampling: { temperature: 1.5, seed, constraint: programOf(constraint) },
    stopping: { maxTokens: 120, ignoreEos: false },
  });
}

const textOf = ({ ids }: Answer) => tokenizer.decode(ids);
const schemaOf = (schema: JsonSchema): Constraint => ({ type: 'json', schema, closed: true });

describe('an answer under a constraint', () => {
  it('is what it must be, among others in a batch, however hot it is sampled', async () => {
    const validate = new Ajv2020().compile(PERSON as object);
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, seed) => rig.run(request(schemaOf(PERSON), seed))),
    );
    const finished = answers.filter(({ end }) => end.reason === 'stop');
    expect(finished.length).toBeGreaterThan(8);
    expect(new Set(finished.map(textOf)).size).toBeGreaterThan(4);
    for (const answer of finished)
      expect([textOf(answer), validate(JSON.parse(textOf(answer)))]).toEqual([textOf(answer), true]);
  });

  it('is any JSON object, one of a choice, or a text of an expression', async () => {
    for (let seed = 0; seed < 4; seed++) {
      const choice = await rig.run(request({ type: 'choice', options: ['harbor', 'har', 'windmill'] }, seed));
      expect(['harbor', 'har', 'windmill']).toContain(textOf(choice));
      const code = await rig.run(request({ type: 'regex', pattern: '[A-Z]{2}-\\d{3,4}' }, seed));
      expect(textOf(code)).toMatch(/^[A-Z]{2}-\d{3,4}$/);
      const object = await rig.run(request(schemaOf({ type: 'object' }), seed));
      if (object.end.reason === 'stop') expect(typeof JSON.parse(textOf(object))).toBe('object');
      else expect(textOf(object)).toMatch(/^\{/);
    }
  });

  it('goes on the same on another worker, whatever it has so far', async () => {
    const whole = await rig.run(request(schemaOf(PERSON), 5));
    for (const kept of [1, Math.floor(whole.ids.length / 2), whole.ids.length - 1]) {
      const rest = await rig.run(request(schemaOf(PERSON), 5, whole.ids.slice(0, kept)));
      expect([...whole.ids.slice(0, kept), ...rest.ids]).toEqual(whole.ids);
    }
  });

  it('shares its cached prompt with other answers', async () => {
    const prompt = tokenizer.encode('The amber key is in the harbor. '.repeat(12));
    const free = await rig.run(ask(prompt));
    expect(free.cached.computed).toBeGreaterThan(64);
    const constraint = programOf({ type: 'choice', options: ['yes', 'no'] });
    const bound = await rig.run(ask(prompt, { sampling: { constraint } }));
    expect(bound.cached.local).toBeGreaterThan(0);
  });

  it('is refused for a program that is none', async () => {
    const wrong = new Uint8Array(Uint16Array.of(0, 300, 300, 0).buffer);
    await expect(rig.run(ask([1, 2], { sampling: { constraint: wrong } }))).rejects.toThrow(/edge for the bytes/);
  });
});
