import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(12, 21);
const [first, second] = [sheet.questions[0]!, sheet.questions[1]!];

describe("OpenAI's SDK against a real fleet", () => {
  let fleet: Fleet;
  let client: OpenAI;

  beforeAll(async () => {
    fleet = await Fleet.up(['--workers', '2']);
    client = new OpenAI({ baseURL: `${fleet.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });

  afterAll(async () => {
    await fleet?.stop();
  });

  const chat = (question: string) => ({
    model: 'recall',
    temperature: 0,
    messages: [
      { role: 'system' as const, content: sheet.notes },
      { role: 'user' as const, content: question },
    ],
  });

  it('completes', async () => {
    const answer = await client.completions.create({
      model: 'recall',
      prompt: recallPrompt(sheet, first.question),
      temperature: 0,
      max_tokens: 32,
    });
    expect(answer.choices[0]!.text.trim()).toBe(first.answer);
    expect(answer.choices[0]!.finish_reason).toBe('stop');
  });

  it("chats with the model's own template", async () => {
    const answer = await client.chat.completions.create(chat(second.question));
    expect(answer.choices[0]!.message.content?.trim()).toBe(second.answer);
    expect(answer.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
  });

  it('streams the same answer', async () => {
    const stream = await client.chat.completions.create({
      ...chat(second.question),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect(text.trim()).toBe(second.answer);
    expect(usage).toBeGreaterThan(5);
  });

  it('makes the model call the tool that it must call, streamed and whole, though its template knows no tools', async () => {
    const parameters = { type: 'object', properties: { place: { enum: ['harbor', 'attic'] } }, required: ['place'] };
    const tools = [{ type: 'function' as const, function: { name: 'go', parameters } }];
    const tool_choice = { type: 'function' as const, function: { name: 'go' } };
    const asked = { ...chat(first.question), temperature: 1.5, seed: 5, tools, tool_choice };
    const { choices } = await client.chat.completions.create(asked);
    expect(choices[0]!.finish_reason).toBe('tool_calls');
    const [call] = choices[0]!.message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    expect(call!.function.name).toBe('go');
    expect(['harbor', 'attic']).toContain((JSON.parse(call!.function.arguments) as { place: string }).place);
    const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
    expect(streamed.choices[0]!.message.tool_calls![0]).toMatchObject({ function: call!.function });
  });

  it('continues a conversation from its cached prefix', async () => {
    const messages = [
      ...chat(first.question).messages,
      { role: 'assistant' as const, content: first.answer },
      { role: 'user' as const, content: second.question },
    ];
    const answer = await client.chat.completions.create({ ...chat(''), messages });
    expect(answer.choices[0]!.message.content?.trim()).toBe(second.answer);
  });

  it('echoes a prompt that fills the context, with all log-probabilities', async () => {
    const prompt = Array.from({ length: 4_096 }, (_, i) => 40 + ((i * i) % 80));
    const asked = { model: 'recall', prompt, max_tokens: 0, echo: true, logprobs: 20 };
    const { tokens, token_logprobs, top_logprobs } = (await client.completions.create(asked)).choices[0]!.logprobs!;
    expect(tokens).toEqual(prompt.map((id) => String.fromCharCode(id)));
    expect(token_logprobs!.map((logprob) => logprob === null)).toEqual(prompt.map((_, i) => i === 0));
    expect(top_logprobs!.slice(1).every((top) => Object.keys(top).length >= 20)).toBe(true);
  });

  it('aborts, and the worker stops at once', async () => {
    const stream = await client.completions.create({
      model: 'recall',
      prompt: recallPrompt(sheet, first.question),
      max_tokens: 3_000,
      temperature: 1,
      stream: true,
      // Not part of OpenAI's API, but common among servers of open models.
      ...{ ignore_eos: true },
    });
    for await (const chunk of stream) {
      // The text before the abort still arrives.
      if (chunk.choices.length === 0 || stream.controller.signal.aborted) continue;
      await fleet.until((workers) => workers.some(({ running }) => running > 0));
      stream.controller.abort();
    }
    await fleet.until((workers) => workers.every(({ running, waiting }) => running + waiting === 0));
  });

  it('names the error of a wrong request', async () => {
    const wrong = client.completions.create({ model: 'recall', prompt: 'x', temperature: 7 });
    await expect(wrong).rejects.toSatisfy((error) => error instanceof BadRequestError && error.param === 'temperature');
    await expect(client.completions.create({ model: 'nobody', prompt: 'x' })).rejects.toThrow(NotFoundError);
    const tooLong = client.completions.create({ model: 'recall', prompt: 'word '.repeat(5_000) });
    await expect(tooLong).rejects.toThrow(/4,?096/);
  });
});
