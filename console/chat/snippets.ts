import { type ChatQuestion, streamedBody } from './stream-answer.js';

/** The request just made, for other clients. Pure. */

type Asked = Omit<ChatQuestion, 'request'>;

/** A command for a POSIX shell. */
export function curlSnippet(origin: string, { path, body, worker }: Asked, keyed: boolean): string {
  const lines = [
    `curl -N ${origin}${path} -H 'content-type: application/json'`,
    ...(keyed ? ["  -H 'authorization: Bearer YOUR-KEY'"] : []),
    ...(worker === null ? [] : [`  -H 'x-shoal-worker: ${worker}'`]),
    `  -d '${JSON.stringify(streamedBody(body), null, 1).replaceAll("'", "'\\''")}'`,
  ];
  return lines.join(' \\\n');
}

/** A program for OpenAI's SDK. */
export function sdkSnippet(origin: string, { path, body, worker }: Asked, keyed: boolean): string {
  const headers = worker === null ? '' : `, {\n  headers: { 'x-shoal-worker': '${worker}' },\n}`;
  const chat = path === '/v1/chat/completions';
  return `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: '${keyed ? 'YOUR-KEY' : 'none'}' });
const answer = await client.${chat ? 'chat.completions' : 'completions'}.create(${JSON.stringify(streamedBody(body), null, 2)}${headers});
for await (const chunk of answer) {
  process.stdout.write(chunk.choices[0]?.${chat ? 'delta?.content' : 'text'} ?? '');
  if (chunk.shoal) console.log('\\n', chunk.shoal);
}
`;
}
