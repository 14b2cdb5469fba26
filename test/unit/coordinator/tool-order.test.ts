import { expect, it } from 'vitest';
import { Messages, Tools } from '../../../coordinator/openai/messages.js';

/** A template prints tools and calls as JSON, so another order would be another prompt. */

it('keeps the fields of tools in the order in which the client wrote them', () => {
  const parameters = { type: 'object', properties: { b: { type: 'string' }, a: { type: 'string' } } };
  const tools = [{ type: 'function', function: { name: 'get', description: 'gets', parameters, strict: false } }];
  expect(JSON.stringify(Tools.parse(tools))).toBe(JSON.stringify(tools));
});

it('keeps the fields of calls in the order in which the client wrote them', () => {
  const calls = [{ id: 'c1', type: 'function', function: { arguments: '{}', name: 'get', more: 1 } }];
  const [message] = Messages.parse([{ role: 'assistant', tool_calls: calls }]);
  expect(JSON.stringify(message!.toolCalls)).toBe(JSON.stringify(calls));
});

it('checks tools and calls', () => {
  const path = (checker: typeof Tools | typeof Messages, value: unknown) =>
    checker.safeParse(value).error?.issues.map((issue) => [issue.path.join('.'), issue.message]);
  expect(path(Tools, [{ type: 'function', function: { name: '' } }])).toEqual([
    ['0.function.name', expect.any(String)],
  ]);
  expect(path(Tools, [{ type: 'function', function: { name: 'f', parameters: 1 } }])).toEqual([
    ['0.function.parameters', 'must be a JSON Schema'],
  ]);
  expect(path(Messages, [{ role: 'assistant', tool_calls: [{ function: {} }] }])).toEqual([
    ['0.tool_calls.0.function.name', expect.any(String)],
  ]);
});
