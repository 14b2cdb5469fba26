import { describe, expect, it } from 'vitest';
import { reasoningParserOf } from '../../../../src/model/reasoning-format.js';
import { toolCallParserOf } from '../../../../src/model/tool-format.js';

describe('the parser of a chat template', () => {
  it.each([
    ['{{ "<tool_call>" }}', 'hermes'],
    ['{{ "<tool_call><function=" }}', null],
    ['{{ "[TOOL_CALLS]" }}', 'mistral'],
    ['{{ "<|start_header_id|>" + \'"parameters": \' }}', 'llama3_json'],
    ['{{ "<|python_tag|>" }}', 'llama3_json'],
    ['{{ "<|header_start|>" + \'"parameters": \' }}', 'llama3_json'],
    ["{{ '<|start_header_id|>' + tool_call.name + '(' }}", 'pythonic'],
    ['Write [func_name1(a=1)]', 'pythonic'],
    ['<｜tool▁call▁begin｜>function\n```json', 'deepseek_v3'],
    ['<｜tool▁call▁begin｜>', 'deepseek_v31'],
    ['<|channel|><|message|><tool_call>', 'openai'],
    ['<start_function_call>call:', 'functiongemma'],
    ['<|tool_call>call:', 'gemma4'],
    ['{{ messages }}', null],
    [null, null],
  ])('%s is %s', (template, parser) => {
    expect(toolCallParserOf(template)).toBe(parser);
  });
});

describe('the parser of reasoning of a chat template', () => {
  it.each([
    ['<think></think>', 'think'],
    ['[THINK][/THINK]', 'mistral'],
    ['<|channel>thought<channel|>', 'gemma4'],
    ['<|channel|>analysis<|message|>', 'openai_gptoss'],
    ['{{ messages }}', null],
    [null, null],
  ])('%s is %s', (template, parser) => {
    expect(reasoningParserOf(template)).toBe(parser);
  });
});
