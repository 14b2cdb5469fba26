import type { ToolCallParser } from '../../../../src/model/tool-format.js';

/** Chat templates in the manner of each family that calls tools: they show the tools, and calls and results as the family's models write them. */

export interface FamilyTemplate {
  readonly parser: ToolCallParser;
  readonly template: string;
  /** The special tokens that the template has. */
  readonly specials: readonly string[];
  /** What the template makes of `CONVERSATION` between the question and the result. */
  readonly turn: string;
}

const ARGUMENTS = { city: 'Rome, "IT" <b>', days: [1, 2.5], deep: { ok: true, no: null } };
const call = (id: string, name: string, json: object) => ({
  ...{ id, type: 'function' },
  function: { name, arguments: JSON.stringify(json) },
});
export const CALLS = [call('abcdefgh1', 'get_weather', ARGUMENTS), call('abcdefgh2', 'get_time', {})];
/** Calls by name and arguments. */
export const CALLED = CALLS.map(({ function: { name, arguments: json } }) => [name, JSON.parse(json) as unknown]);

const SHOWN = '{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}';
const asked = (user: string, assistant: string, tool: string, end = '') =>
  `{% for m in messages %}{% if m.role == 'user' %}${user}{% elif m.role == 'tool' %}${tool}{% else %}${assistant}{% endif %}{% endfor %}${end}`;

const DEEPSEEK_MARKS = [
  ...['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>', '<｜tool▁call▁begin｜>'],
  ...['<｜tool▁call▁end｜>', '<｜tool▁sep｜>'],
];
const DEEPSEEK_USER = "{{ '<｜User｜>' + m.content + '<｜Assistant｜>' }}";
const DEEPSEEK_TOOL = "{{ '<｜tool▁output▁begin｜>' + m.content + '<｜tool▁output▁end｜>' }}";

/** The macro of Gemma's templates that writes a value, with their quotes. */
const gemmaValue = (quote: string) =>
  '{%- macro value(v) -%}' +
  `{%- if v is string -%}{{- '${quote}' + v + '${quote}' -}}` +
  "{%- elif v is boolean -%}{{- 'true' if v else 'false' -}}" +
  '{%- elif v is mapping -%}{ {%- for k, x in v | items -%}{%- if not loop.first %},{% endif -%}{{- k -}}:{{- value(x) -}}{%- endfor -%} }' +
  '{%- elif v is sequence -%}[ {%- for x in v -%}{%- if not loop.first %},{% endif -%}{{- value(x) -}}{%- endfor -%} ]' +
  '{%- else -%}{{- v -}}{%- endif -%}{%- endmacro -%}';
const gemma = (quote: string, begin: string, end: string) =>
  gemmaValue(quote) +
  SHOWN +
  asked(
    "{{ '<start_of_turn>user\n' + m.content + '<end_of_turn>\n<start_of_turn>model\n' }}",
    `{%- for c in m.tool_calls -%}{{- '${begin}call:' + c.function.name + '{' -}}{%- for k, v in c.function.arguments | items -%}{%- if not loop.first %},{% endif -%}{{- k -}}:{{- value(v) -}}{%- endfor -%}{{- '}${end}' -}}{%- endfor -%}`,
    '{{ m.content }}',
  );

export const FAMILIES: readonly FamilyTemplate[] = [
  {
    parser: 'hermes',
    template:
      SHOWN +
      asked(
        "{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n<|im_start|>assistant\n' }}",
        '{% for c in m.tool_calls %}{{ "\n" if not loop.first }}{{ \'<tool_call>\n{"name": "\' + c.function.name + \'", "arguments": \' }}{{ c.function.arguments | tojson }}{{ "}\n</tool_call>" }}{% endfor %}<|im_end|>\n',
        "{{ '<tool_response>\n' + m.content + '\n</tool_response>' }}",
      ),
    specials: ['<|im_end|>'],
    turn:
      '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome, \\"IT\\" <b>", "days": [1, 2.5], "deep": {"ok": true, "no": null}}}\n</tool_call>\n' +
      '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>',
  },
  {
    parser: 'llama3_json',
    template:
      SHOWN +
      asked(
        "{{ '<|start_header_id|>user<|end_header_id|>\n\n' + m.content + '<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n' }}",
        '{% for c in m.tool_calls %}{{ "; " if not loop.first }}{{ \'{"name": "\' + c.function.name + \'", "parameters": \' }}{{ c.function.arguments | tojson }}}{% endfor %}<|eot_id|>',
        '{{ m.content }}',
      ),
    specials: ['<|python_tag|>', '<|eot_id|>'],
    turn: '{"name": "get_weather", "parameters": {"city": "Rome, \\"IT\\" <b>", "days": [1, 2.5], "deep": {"ok": true, "no": null}}}; {"name": "get_time", "parameters": {}}',
  },
  {
    parser: 'pythonic',
    template:
      SHOWN +
      asked(
        "{{ '<|header_start|>user<|header_end|>\n\n' + m.content + '<|eot|><|header_start|>assistant<|header_end|>\n\n' }}",
        "[{% for c in m.tool_calls %}{{ ', ' if not loop.first }}{{ c.function.name + '(' }}{% for k, v in c.function.arguments | items %}{{ ', ' if not loop.first }}{{ k + '=' }}{% if v is string %}{{ v | tojson }}{% else %}{{ v }}{% endif %}{% endfor %}){% endfor %}]<|eot|>",
        '{{ m.content }}',
      ),
    specials: ['<|python_start|>', '<|eot|>'],
    turn: `[get_weather(city="Rome, \\"IT\\" <b>", days=[1, 2.5], deep={'ok': True, 'no': None}), get_time()]`,
  },
  {
    parser: 'mistral',
    template:
      SHOWN +
      asked(
        "{{ '[INST] ' + m.content + '[/INST]' }}",
        '{{ "[TOOL_CALLS][" }}{% for c in m.tool_calls %}{{ ", " if not loop.first }}{{ \'{"name": "\' + c.function.name + \'", "arguments": \' }}{{ c.function.arguments | tojson }}}{% endfor %}]</s>',
        "{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}",
      ),
    specials: ['[TOOL_CALLS]', '</s>'],
    turn: '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Rome, \\"IT\\" <b>", "days": [1, 2.5], "deep": {"ok": true, "no": null}}}, {"name": "get_time", "arguments": {}}]',
  },
  {
    parser: 'mistral',
    template:
      SHOWN +
      asked(
        "{{ '[INST]' + m.content + '[/INST]' }}",
        "{% for c in m.tool_calls %}{{ '[TOOL_CALLS]' + c.function.name + '[ARGS]' }}{{ c.function.arguments | tojson }}{% endfor %}</s>",
        "{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}",
      ),
    specials: ['[TOOL_CALLS]', '[ARGS]', '</s>'],
    turn: '[TOOL_CALLS]get_weather[ARGS]{"city": "Rome, \\"IT\\" <b>", "days": [1, 2.5], "deep": {"ok": true, "no": null}}[TOOL_CALLS]get_time[ARGS]{}',
  },
  {
    parser: 'deepseek_v3',
    template:
      SHOWN +
      asked(
        DEEPSEEK_USER,
        "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{{ '\n' if not loop.first }}{{ '<｜tool▁call▁begin｜>' + c.type + '<｜tool▁sep｜>' + c.function.name + '\n```json\n' + c.function.arguments + '\n```<｜tool▁call▁end｜>' }}{% endfor %}<｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
        DEEPSEEK_TOOL,
      ),
    specials: [],
    turn:
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city":"Rome, \\"IT\\" <b>","days":[1,2.5],"deep":{"ok":true,"no":null}}\n```<｜tool▁call▁end｜>\n' +
      '<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  },
  {
    parser: 'deepseek_v31',
    template:
      SHOWN +
      asked(
        DEEPSEEK_USER,
        "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{{ '<｜tool▁call▁begin｜>' + c.function.name + '<｜tool▁sep｜>' + c.function.arguments + '<｜tool▁call▁end｜>' }}{% endfor %}<｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
        DEEPSEEK_TOOL,
      ),
    specials: DEEPSEEK_MARKS,
    turn:
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city":"Rome, \\"IT\\" <b>","days":[1,2.5],"deep":{"ok":true,"no":null}}<｜tool▁call▁end｜>' +
      '<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  },
  {
    parser: 'openai',
    // One message has one call.
    template:
      SHOWN +
      asked(
        "{{ '<|start|>user<|message|>' + m.content + '<|end|><|start|>assistant' }}",
        "{%- set c = m.tool_calls[0].function -%}{{ '<|channel|>commentary to=functions.' + c.name + ' <|constrain|>json<|message|>' }}{{ c.arguments | tojson }}<|call|>",
        "{{ '<|start|>functions.x to=assistant<|channel|>commentary<|message|>' + m.content + '<|end|>' }}",
      ),
    specials: ['<|channel|>', '<|constrain|>', '<|message|>', '<|start|>', '<|end|>', '<|call|>'],
    turn: '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Rome, \\"IT\\" <b>", "days": [1, 2.5], "deep": {"ok": true, "no": null}}',
  },
  {
    parser: 'functiongemma',
    template: gemma('<escape>', '<start_function_call>', '<end_function_call>'),
    specials: ['<escape>', '<start_function_call>', '<end_function_call>', '<start_function_response>'],
    turn:
      '<start_function_call>call:get_weather{city:<escape>Rome, "IT" <b><escape>,days:[1,2.5],deep:{ok:true,no:None}}<end_function_call>' +
      '<start_function_call>call:get_time{}<end_function_call>',
  },
  {
    parser: 'gemma4',
    template: gemma('<|"|>', '<|tool_call>', '<tool_call|>'),
    specials: ['<|"|>', '<|tool_call>', '<tool_call|>', '<|tool_response>'],
    turn:
      '<|tool_call>call:get_weather{city:<|"|>Rome, "IT" <b><|"|>,days:[1,2.5],deep:{ok:true,no:None}}<tool_call|>' +
      '<|tool_call>call:get_time{}<tool_call|>',
  },
];
