import { expect, it } from 'vitest';
import { IgnoredNames } from '../../../coordinator/openai/ignored-names.js';
import { createLog } from '../../../src/log.js';

it('logs each unknown name of a body once, and no name that may be a text of a user', () => {
  const lines: string[] = [];
  const names = new IgnoredNames(createLog({ level: 'warn', write: (line) => lines.push(line) }));
  names.note('/v1/completions', ['top_a', 'stream_options.x']);
  names.note('/v1/completions', ['top_a', 'My name is Ada and I live', 'Ada lives in London']);
  names.note('/v1/completions', ['What ails me?']);
  expect(lines.map((line) => JSON.parse(line).parameters)).toEqual([['top_a', 'stream_options.x'], ['another text']]);
});
