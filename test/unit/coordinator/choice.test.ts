import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FleetEvent } from '../../../coordinator/fleet.js';
import { Choice, type Delta } from '../../../coordinator/openai/choice.js';
import type { MessageFormat } from '../../../coordinator/openai/message/message-format.js';
import { type MessagePlan, messagePlan } from '../../../coordinator/openai/message/message-plan.js';
import type { ChoicePlan } from '../../../coordinator/openai/plan.js';
import { callReading } from '../../../coordinator/openai/tool-use.js';
import { toolFormatOf } from '../../../src/model/tool-format.js';
import { GREEDY, type TokenLogprobs } from '../../../src/protocol/generate.js';
import { StopPattern } from '../../../src/text/stop-strings.js';
import { FAMILIES } from './support/families.js';
import { started } from './support/scripted-fleet.js';
import { idsOf, MODEL } from './support/test-server.js';

interface ChoiceOptions {
  readonly stops?: readonly string[];
  readonly minTokens?: number;
  readonly logprobs?: number;
  readonly echo?: string;
  readonly message?: MessagePlan;
}

function choiceOf({ stops = [], minTokens = 0, logprobs, echo, message }: ChoiceOptions = {}): Choice {
  const plan: ChoicePlan = {
    index: 4,
    promptIndex: 0,
    message: message ?? null,
    stops: stops.map((stop) => new StopPattern(stop)),
    echo: echo ?? null,
    show: { specialTokens: false, stop: false, tokenIds: false, tokensAsIds: false },
    request: {
      requestId: 'r',
      tokens: Uint32Array.from(idsOf(echo ?? 'x')),
      salt: null,
      worker: null,
      stopping: { maxTokens: 100, minTokens, tokenIds: [], ignoreEos: false },
      sampling: {
        ...GREEDY,
        logprobs: logprobs ?? null,
        promptLogprobs: echo !== undefined && logprobs !== undefined,
      },
    },
  };
  return new Choice(plan, MODEL.tokenizer);
}

const end: FleetEvent = { type: 'end', reason: 'length', token: null };
const one = (id: number, logprob?: number): FleetEvent => ({
  type: 'tokens',
  ids: [id],
  ...(logprob === undefined ? {} : { logprobs: [{ logprob, top: [] }] }),
});

/** Feeds events until the choice is finished. Returns its deltas. */
function run(choice: Choice, events: readonly FleetEvent[]): Delta[] {
  const deltas: Delta[] = [];
  for (const event of [started(), ...events]) {
    if (choice.finish !== null) break;
    const delta = choice.take(event);
    if (delta !== null) deltas.push(delta);
  }
  return deltas;
}

const reportsOf = (deltas: readonly Delta[]) =>
  deltas.flatMap(({ reports }) => reports.map((index) => reports.at(index)));
const textOf = (deltas: readonly Delta[]) => deltas.map((delta) => delta.text).join('');

it('shows the reader of messages a special token that marks a call', () => {
  const mark = 989;
  expect(MODEL.tokenizer.specialIds.has(mark)).toBe(true);
  const calls = {
    ...{ format: toolFormatOf('mistral', null), enforced: false, hasOthers: false, most: 'many' as const },
    ...{ names: new Set<string>(), newId: () => 'x' },
  };
  const choice = choiceOf({
    message: { options: { form: 'marked', reasoning: null, calls }, marks: new Map([[mark, '[TOOL_CALLS]']]) },
  });
  const ids = [...idsOf(' Hm.'), mark, ...idsOf('[{"name": "f", "arguments": {}}]')];
  const deltas = run(choice, [...ids.map((id) => one(id)), { type: 'end', reason: 'stop', token: null }]);
  expect(deltas.map(({ text }) => text).join('')).toBe(' Hm.');
  expect(deltas.flatMap((delta) => delta.calls)[0]).toMatchObject({ id: 'x', name: 'f' });
  expect(choice.finish).toBe('tool_calls');
});

describe('a choice of a model that marks channels', () => {
  const END = 989;
  const special: MessageFormat = {
    ...{ tools: toolFormatOf('openai', null), reasoning: 'openai_gptoss', channels: true },
    marks: new Map([[END, '<|end|>']]),
  };
  const prompt = Uint32Array.from(idsOf('<|start|>assistant'));
  const calls = callReading(
    { type: 'auto', tools: [{ name: 'f', schema: true, strict: false }], hasOthers: false, most: 'many' },
    special,
    (bytes) => new Uint8Array(bytes),
  );

  function answer(format: MessageFormat, enforced: boolean, ids: readonly number[], reason: 'stop' | 'length') {
    const choice = choiceOf({ message: messagePlan(prompt, format, { calls, enforced }, MODEL.tokenizer)! });
    const deltas = run(choice, [...ids.map((id) => one(id)), { type: 'end', reason, token: null }]);
    const json = deltas.flatMap((delta) => delta.calls.map((call) => call.arguments)).join('');
    return { text: textOf(deltas), json, finish: choice.finish };
  }

  it('ends a message with a special token, and not with text that spells it', () => {
    const spelled = [...idsOf('<|channel|>final<|message|>a <|en'), ...idsOf('d|> b')];
    expect(spelled).not.toContain(END);
    const ids = [...spelled, END, ...idsOf('<|start|>assistant')];
    expect(answer(special, false, ids, 'stop')).toMatchObject({ text: 'a <|end|> b' });
    const spelling: MessageFormat = { ...special, marks: new Map() };
    expect(answer(spelling, false, spelled, 'stop')).toMatchObject({ text: 'a  b' });
    expect(answer(spelling, true, spelled, 'stop')).toMatchObject({ text: 'a <|end|> b' });
  });

  it.each(['stop', 'length'] as const)('has a call without arguments only if the model ends it so: %s', (reason) => {
    const ids = idsOf('<|channel|>commentary to=functions.f<|message|>');
    const expected = reason === 'stop' ? { json: '{}', finish: 'tool_calls' } : { json: '', finish: 'length' };
    expect(answer(special, true, ids, reason)).toMatchObject(expected);
  });
});

describe.each(FAMILIES)('calls in the form of $parser', ({ parser, template, turn }) => {
  const calls = {
    ...{ format: toolFormatOf(parser, template), enforced: true, most: 'many' as const },
    ...{ names: new Set(['get_weather', 'get_time']), newId: () => 'x' },
  };
  const message: MessagePlan = {
    options:
      calls.format.syntax.type === 'harmony'
        ? { form: 'channels', begins: 'header', enforced: false, specials: [], reasons: true, calls }
        : { form: 'marked', reasoning: null, calls },
    marks: new Map(),
  };
  const events = (reason: 'stop' | 'length'): FleetEvent[] => [
    ...idsOf(turn).map((id) => one(id)),
    { type: 'end', reason, token: null },
  ];

  it('are no reason to stop if a stop string ends the answer within one', () => {
    const choice = choiceOf({ message, stops: ['IT'] });
    const deltas = run(choice, events('stop'));
    expect(deltas.at(-1)).toMatchObject({ finish: 'stop', stopReason: 'IT' });
    expect(deltas.flatMap((delta) => delta.calls)[0]).toMatchObject({ name: 'get_weather' });
  });

  it('leave no text wherever the answer is cut', () => {
    const ids = idsOf(turn);
    for (const length of ids.keys()) {
      const cut = ids.slice(0, length).map((id) => one(id));
      expect([length, textOf(run(choiceOf({ message }), [...cut, end]))]).toEqual([length, '']);
    }
    for (const stop of ['"', 'e', '_', '\n', ',', '>', '[', '{'])
      expect([stop, textOf(run(choiceOf({ message, stops: [stop] }), events('stop')))]).toEqual([stop, '']);
  });

  it('end an answer that may have one with the same token, however many come at once', () => {
    const single = { ...calls, most: 'one' as const };
    const options = { ...message.options, calls: single } as MessagePlan['options'];
    const ids = idsOf(`${turn}${parser === 'openai' ? '<|call|>' : ''} and more`);
    const counts = [1, 7, ids.length].map((step) => {
      const choice = choiceOf({ message: { ...message, options }, logprobs: 0 });
      const bursts = ids.flatMap((_, i): FleetEvent[] =>
        i % step === 0 ? [{ type: 'tokens', ids: ids.slice(i, i + step) }] : [],
      );
      const deltas = run(choice, [...bursts, { type: 'end', reason: 'stop', token: null }]);
      expect(deltas.at(-1)!.finish).toBe('tool_calls');
      return [choice.completionTokens, reportsOf(deltas).length];
    });
    expect(counts).toEqual(Array(3).fill(counts[0]));
  });

  it('are the reason if all are whole', () => {
    expect(run(choiceOf({ message }), events('stop')).at(-1)).toMatchObject({ finish: 'tool_calls' });
  });
});

describe('a choice', () => {
  it('decodes the text of all tokens, and gives its finish reason', () => {
    const ids = idsOf('The café 😀 is open');
    const choice = choiceOf();
    const deltas = run(choice, [...ids.map((id) => one(id)), end]);
    expect(textOf(deltas)).toBe('The café 😀 is open');
    expect(deltas.at(-1)).toMatchObject({ index: 4, finish: 'length' });
    expect(deltas.slice(0, -1).every((delta) => delta.finish === null && delta.text !== '')).toBe(true);
    expect(choice.completionTokens).toBe(ids.length);
  });

  it('ends with a replacement character if a character stays incomplete', () => {
    const [first] = idsOf('😀');
    const deltas = run(choiceOf(), [one(first!), end]);
    expect(deltas.map((delta) => delta.text)).toEqual(['\uFFFD']);
  });

  it('ends before a stop string, and counts the tokens up to the one that completed it', () => {
    const ids = idsOf(' in the harbor.\n\nQ: What');
    const upToStop = idsOf(' in the harbor.\n\nQ');
    const choice = choiceOf({ stops: ['\n\nQ', 'never'] });
    const deltas = run(choice, [{ type: 'tokens', ids }, end]);
    expect(textOf(deltas)).toBe(' in the harbor.');
    expect(choice.finish).toBe('stop');
    expect(choice.completionTokens).toBe(upToStop.length);
  });

  it('finds a stop string however it is split into tokens', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 20 }), (text) => {
        const stop = 'éa';
        const bytes = [...Buffer.from(text)].map((byte) => one(byte));
        const at = text.indexOf(stop);
        expect(textOf(run(choiceOf({ stops: [stop] }), [...bytes, end]))).toBe(at < 0 ? text : text.slice(0, at));
      }),
    );
  });

  it('ignores stop strings before min_tokens', () => {
    const ids = [...Buffer.from('xaxaxb')];
    const deltas = run(choiceOf({ stops: ['x'], minTokens: 4 }), [...ids.map((id) => one(id)), end]);
    expect(textOf(deltas)).toBe('xaxa');
  });

  it('reports log-probabilities of held-back tokens together with their text', () => {
    const [first, ...rest] = idsOf('😀');
    const deltas = run(choiceOf({ logprobs: 0 }), [
      one(first!, -1),
      ...rest.map((id) => one(id, -2)),
      one(97, -3),
      end,
    ]);
    expect(deltas.map((delta) => [delta.text, delta.reports.length])).toEqual([
      ['😀', 1 + rest.length],
      ['a', 1],
      ['', 0],
    ]);
    expect(deltas[0]!.reports.at(0)).toMatchObject({ text: 'bytes:\\xf0', bytes: [0xf0], logprob: -1, offset: 0 });
    expect(deltas[1]!.reports.at(0)).toMatchObject({ text: 'a', offset: 1 });
  });

  it('echoes its prompt, with the log-probabilities of the prompt', () => {
    const echo = 'é the';
    const prompt = idsOf(echo);
    const logprobs: (TokenLogprobs | null)[] = prompt.map((_, i) => (i === 0 ? null : { logprob: -i, top: [] }));
    const deltas = run(choiceOf({ echo, logprobs: 0 }), [{ type: 'prompt', logprobs }, one(97, -9), end]);
    expect(textOf(deltas)).toBe('é thea');
    const reports = reportsOf(deltas);
    expect(reports.map((report) => report.logprob)).toEqual([null, ...prompt.slice(1).map((_, i) => -1 - i), -9]);
    expect(reports.slice(-2).map((report) => report.offset)).toEqual([1, 5]);
  });

  it('reports a prompt whose log-probabilities come in parts after the last part, all at once', () => {
    const echo = 'é the 😀 harbor';
    const prompt = idsOf(echo);
    const logprobs: (TokenLogprobs | null)[] = prompt.map((_, i) =>
      i === 0 ? null : { logprob: -i, top: [[97, -i]] },
    );
    const whole = run(choiceOf({ echo, logprobs: 1 }), [{ type: 'prompt', logprobs }, one(97, -9), end]);
    const parts = [logprobs.slice(0, 1), logprobs.slice(1, 4), logprobs.slice(4)];
    const events = parts.map((part): FleetEvent => ({ type: 'prompt', logprobs: part }));
    const inParts = run(choiceOf({ echo, logprobs: 1 }), [...events, one(97, -9), end]);
    expect(inParts.map(({ text, reports }) => [text, reports.length])).toEqual([
      [echo, prompt.length],
      ['a', 1],
      ['', 0],
    ]);
    expect(reportsOf(inParts)).toEqual(reportsOf(whole));
  });

  it('echoes its prompt at once without log-probabilities', () => {
    expect(run(choiceOf({ echo: 'the' }), [end]).map((delta) => delta.text)).toEqual(['the', '']);
  });
});
