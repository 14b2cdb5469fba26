import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CHAT_PARAMETERS } from '../../../coordinator/openai/parameters/chat-parameters.js';
import { COMPLETION_PARAMETERS } from '../../../coordinator/openai/parameters/completion-parameters.js';
import { MESSAGE_PARAMETERS } from '../../../coordinator/openai/parameters/message-parameters.js';
import { RESPONSE_PARAMETERS } from '../../../coordinator/openai/parameters/response-parameters.js';
import { expectParts } from '../../support/marked-page.js';
import { parametersMarkdown } from '../../support/parameters-markdown.js';

const PAGE = fileURLToPath(new URL('../../../docs/API.md', import.meta.url));
const PARTS = {
  'chat parameters': CHAT_PARAMETERS,
  'completion parameters': COMPLETION_PARAMETERS,
  'response parameters': RESPONSE_PARAMETERS,
  'message parameters': MESSAGE_PARAMETERS,
};

describe('docs/API.md', () => {
  it('has the tables of parameters (npm run docs writes them)', async () => {
    const parts = Object.entries(PARTS).map(([name, table]) => [name, parametersMarkdown(table)]);
    await expectParts(PAGE, Object.fromEntries(parts));
  });

  it('has as many cells in each row as in the heading', () => {
    for (const table of Object.values(PARTS)) {
      const rows = parametersMarkdown(table)
        .split('\n')
        .filter((line) => line !== '');
      for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(5);
    }
  });
});
