import { createOpenAI } from '@ai-sdk/openai';

export { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';

/** Vercel's AI SDK for a fleet. Called with the name of a model, it uses the Responses API; `chat` and `completion` use the others. */
export function aiSdkFor(url: string) {
  return createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
}
