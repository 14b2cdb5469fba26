import type { ChatQuestion } from './stream-answer.js';

/** The request just made, for other clients. Pure. */

/** A command for a POSIX shell. */
export function curlSnippet(origin: string, { path, body, worker }: ChatQuestion, keyed: boolean): string {
  const lines = [
    `curl -N ${origin}${path} -H 'content-type: application/json'`,
    ...(keyed ? ["  -H 'authorization: Bearer YOUR-KEY'"] : []),
    ...(worker === null ? [] : [`  -H 'x-shoal-worker: ${worker}'`]),
    `  -d '${JSON.stringify(body, null, 1).replaceAll("'", "'\\''")}'`,
  ];
  return lines.join(' \\\n');
}

/** A program for OpenAI's SDK. */
export function sdkSnippet(origin: string, { body, worker }: ChatQuestion, keyed: boolean): string {
  const headers = worker === null ? '' : `, {\n  headers: { 'x-shoal-worker': '${worker}' },\n}`;
  return `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: '${keyed ? 'YOUR-KEY' : 'none'}' });
const answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)}${headers});
console.log(answer.choices[0].message.content, answer.shoal);
`;
}
