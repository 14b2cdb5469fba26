import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recallSheet } from '../../bench/fleet/recall-sheet.js';
import { aiSdkFor, generateObject, generateText, stepCountIs, streamText, tool } from './support/ai-sdk.js';
import { Fleet } from './support/fleet.js';
import { HumanMessage, langchainFor, tool as langchainTool, SystemMessage, ToolMessage } from './support/langchain.js';
import { toolModel } from './support/tool-model.js';

/** Clients of others, unpatched, against a real fleet. Its model answers from notes, and calls tools only where it must. */

const sheet = recallSheet(12, 21);
const [first, second] = [sheet.questions[0]!, sheet.questions[1]!];
const Place = z.object({ place: z.enum(['harbor', 'attic']), floor: z.int().min(0).max(9) });
type Place = z.infer<typeof Place>;

let model: Awaited<ReturnType<typeof toolModel>>;
let fleet: Fleet;

beforeAll(async () => {
  model = await toolModel();
  fleet = await Fleet.up(['--workers', '2', '--model', model.dir]);
});
afterAll(async () => {
  await fleet?.stop();
  await model?.remove();
});

describe("Vercel's AI SDK", () => {
  const asked = (question: string) => ({
    system: sheet.notes,
    prompt: question,
    temperature: 0,
    maxRetries: 0,
    maxOutputTokens: 200,
  });
  const models = () => ({ responses: aiSdkFor(fleet.url)('recall'), chat: aiSdkFor(fleet.url).chat('recall') });

  it.each(['responses', 'chat'] as const)('answers, whole and streamed, by %s', async (api) => {
    const { text, usage } = await generateText({ ...asked(first.question), model: models()[api] });
    expect(text.trim()).toBe(first.answer);
    expect(usage.outputTokens).toBeGreaterThan(3);
    const streamed = streamText({ ...asked(first.question), model: models()[api] });
    let joined = '';
    for await (const piece of streamed.textStream) joined += piece;
    expect(joined).toBe(text);
  });

  it.each(['responses', 'chat'] as const)('generates an object of a schema, by %s', async (api) => {
    const { object } = await generateObject({ ...asked(first.question), model: models()[api], schema: Place });
    expect(Place.parse(object)).toEqual(object);
  });

  it.each(['responses', 'chat'] as const)('calls a tool, and answers with its result, by %s', async (api) => {
    const called: Place[] = [];
    const go = tool({
      description: 'Goes to a place.',
      inputSchema: Place,
      execute: async (place) => {
        called.push(place);
        return second.question;
      },
    });
    const { text, steps, response } = await generateText({
      ...asked(first.question),
      model: models()[api],
      tools: { go },
      stopWhen: stepCountIs(2),
      // Left alone, this model would call again and again where it must call.
      providerOptions: { openai: { parallelToolCalls: false } },
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'auto' }),
    });
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop']);
    expect(Place.parse(called[0])).toEqual(called[0]);
    expect(text.trim()).toBe(second.answer);
    // The next turn names the items of this one.
    const { prompt, ...rest } = asked(first.question);
    const turn = { role: 'user' as const, content: prompt };
    const messages = [turn, ...response.messages, turn];
    const next = await generateText({ ...rest, model: models()[api], messages, tools: { go } });
    expect(next.text.trim()).toBe(first.answer);
  });
});

describe('LangChain', () => {
  const asked = (question: string) => [new SystemMessage(sheet.notes), new HumanMessage(question)];
  const go = langchainTool(async () => second.question, { name: 'go', description: 'Goes to a place.', schema: Place });

  it.each([false, true])('answers, whole and streamed; Responses API: %s', async (useResponsesApi) => {
    const chat = langchainFor(fleet.url, { useResponsesApi });
    expect((await chat.invoke(asked(first.question))).text.trim()).toBe(first.answer);
    let joined = '';
    for await (const piece of await chat.stream(asked(second.question))) joined += piece.text;
    expect(joined.trim()).toBe(second.answer);
  });

  it.each(['jsonSchema', 'functionCalling', 'jsonMode'] as const)('has structured output by %s', async (method) => {
    const chat = langchainFor(fleet.url).withStructuredOutput(method === 'jsonMode' ? z.looseObject({}) : Place, {
      name: 'place',
      method,
    });
    const answer = await chat.invoke(asked(first.question));
    if (method === 'jsonMode') expect(answer).toBeTypeOf('object');
    else expect(Place.parse(answer)).toEqual(answer);
  });

  it.each([false, true])('binds tools; Responses API: %s', async (useResponsesApi) => {
    const chat = langchainFor(fleet.url, { useResponsesApi });
    const messages = asked(first.question);
    // By the Responses API, LangChain sends the choice of one tool alone.
    const called = await chat.bindTools([go], { tool_choice: 'go' }).invoke(messages);
    expect(called.tool_calls).toHaveLength(1);
    const { args, id } = called.tool_calls![0]!;
    expect(Place.parse(args)).toEqual(args);
    const result = new ToolMessage({ content: await go.invoke(args as Place), tool_call_id: id! });
    const answer = await chat.bindTools([go]).invoke([...messages, called, result]);
    expect(answer.text.trim()).toBe(second.answer);
  });
});

describe("OpenAI's helpers for zod", () => {
  let openai: OpenAI;
  beforeAll(() => {
    openai = new OpenAI({ baseURL: `${fleet.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  const messages = [
    { role: 'system' as const, content: sheet.notes },
    { role: 'user' as const, content: first.question },
  ];

  it('parses chats', async () => {
    const response_format = zodResponseFormat(Place, 'place');
    const { choices } = await openai.chat.completions.parse({ model: 'recall', messages, response_format });
    expect(Place.parse(choices[0]!.message.parsed)).toEqual(choices[0]!.message.parsed);
    const tools = [zodFunction({ name: 'go', parameters: Place })];
    const asked = { model: 'recall', messages, tools, tool_choice: 'required' as const, parallel_tool_calls: false };
    const called = (await openai.chat.completions.parse(asked)).choices[0]!.message.tool_calls!;
    expect(Place.parse(called[0]!.function.parsed_arguments)).toEqual(called[0]!.function.parsed_arguments);
  });

  it('parses responses', async () => {
    const text = { format: zodTextFormat(Place, 'place') };
    const answer = await openai.responses.parse({ model: 'recall', input: messages, text });
    expect(Place.parse(answer.output_parsed)).toEqual(answer.output_parsed);
    const tools = [zodResponsesFunction({ name: 'go', parameters: Place })];
    const asked = {
      model: 'recall',
      input: messages,
      tools,
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
    };
    const [call] = (await openai.responses.parse(asked)).output;
    expect(call).toMatchObject({ type: 'function_call', name: 'go', parsed_arguments: expect.any(Object) });
  });
});

describe("Anthropic's cache_control", () => {
  it('keeps a prefix in the fleet, which the next request finds', async () => {
    const system = [{ type: 'text', text: sheet.notes, cache_control: { type: 'ephemeral', ttl: '1h' } }];
    const ask = async (question: string) => {
      const messages = [{ role: 'user', content: question }];
      const answer = await fleet.post('/v1/messages', { max_tokens: 40, temperature: 0, system, messages });
      return (await answer.json()) as { content: { text: string }[]; usage: Record<string, number> };
    };
    expect((await ask(first.question)).content[0]!.text.trim()).toBe(first.answer);
    const held = async () => {
      for (;;) {
        const { data } = (await (await fetch(`${fleet.url}/v1/cache/pins`)).json()) as {
          data: { id: string; state: string; tokens: number }[];
        };
        const mark = data.find(({ id, state }) => id.startsWith('mark-') && state === 'held');
        if (mark !== undefined) return mark;
      }
    };
    const { tokens } = await held();
    const { content, usage } = await ask(second.question);
    expect(content[0]!.text.trim()).toBe(second.answer);
    expect(usage.cache_read_input_tokens).toBeGreaterThanOrEqual(tokens);
    expect(usage.cache_creation_input_tokens).toBe(0);
  });
});

describe("vLLM's grammars", () => {
  it('hold for every answer, at any temperature', async () => {
    const grammar = 'root ::= sum "\\n"\nsum ::= term ("+" term){0,3}\nterm ::= [0-9] | "(" sum ")"';
    const openai = new OpenAI({ baseURL: `${fleet.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const texts = Array.from({ length: 16 }, async (_, seed) => {
      const asked = { model: 'recall', prompt: sheet.notes, temperature: 1.5, seed, max_tokens: 400 };
      const { choices } = await openai.completions.create({ ...asked, ...{ structured_outputs: { grammar } } });
      return choices[0]!;
    });
    const finished = (await Promise.all(texts)).filter(({ finish_reason: reason }) => reason === 'stop');
    expect(finished.length).toBeGreaterThan(8);
    for (const { text } of finished) {
      expect(text).toMatch(/^[()\d+]+\n$/);
      // Whether the parentheses and signs stand where they may.
      let rest = text.trimEnd();
      for (let before = ''; before !== rest; ) {
        before = rest;
        rest = rest.replaceAll(/\(\d(?:\+\d){0,3}\)/g, '1');
      }
      expect(rest).toMatch(/^\d(?:\+\d){0,3}$/);
    }
  });
});
