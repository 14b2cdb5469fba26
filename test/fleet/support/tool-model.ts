import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Shows tools, calls and results to the model, before and within the form that recall was trained on. */
const TEMPLATE =
  '{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}' +
  "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n' }}" +
  "{% elif message['role'] == 'user' %}{{ '\nQ: ' + message['content'] + '\nA:' }}" +
  "{% elif message['role'] == 'tool' %}{{ '\nQ: ' + message['content'] + '\nA:' }}" +
  "{% elif message['role'] == 'assistant' %}{{ ' ' + (message['content'] or '') }}" +
  '{% for call in message[\'tool_calls\'] or [] %}<tool_call>{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}</tool_call>{% endfor %}' +
  "{{ '<|end|>' }}{% endif %}{% endfor %}";

/** A copy of `models/recall` whose chat template knows tools, under the name recall. */
export async function toolModel(): Promise<{ readonly dir: string; remove(): Promise<void> }> {
  const home = await mkdtemp(join(tmpdir(), 'shoal-tools-'));
  const dir = join(home, 'recall');
  await cp('models/recall', dir, { recursive: true, filter: (path) => !path.endsWith('/train') });
  const path = join(dir, 'tokenizer_config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, chat_template: TEMPLATE }));
  return { dir, remove: () => rm(home, { recursive: true, force: true }) };
}
