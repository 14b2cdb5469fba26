import { describe } from 'vitest';
import { type Case, calls, finds, ROME, text } from './support/cases.js';

const V3 = (name: string, json: string) =>
  `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>`;
const V31 = (name: string, json: string) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>${json}<｜tool▁call▁end｜>`;
const ALL = (...list: string[]) => `<｜tool▁calls▁begin｜>${list.join('')}<｜tool▁calls▁end｜>`;
const CASES: readonly Case[] = [
  [
    'calls of DeepSeek V3',
    { parser: 'deepseek_v3' },
    `Look.${ALL(V3('get_weather', ROME), '\n', V3('f', '{}'))}`,
    {
      ...text('Look.'),
      calls: [
        ['get_weather', ROME],
        ['f', '{}'],
      ],
    },
  ],
  [
    'calls of DeepSeek V3.1',
    { parser: 'deepseek_v31' },
    ALL(V31('get_weather', ROME), V31('function', '{"a": "```"}')),
    calls(['get_weather', ROME], ['function', '{"a": "```"}']),
  ],
  ['the older form with the newer parser', { parser: 'deepseek_v31' }, ALL(V3('f', '{}')), calls(['f', '{}'])],
  [
    'what follows the end of the calls',
    { parser: 'deepseek_v31' },
    `${ALL(V31('f', '{}'))} and more`,
    calls(['f', '{}']),
  ],
  [
    'an unfinished name of DeepSeek',
    { parser: 'deepseek_v31' },
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_w',
    text('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_w'),
  ],
  [
    'no JSON of DeepSeek',
    { parser: 'deepseek_v31' },
    'a<｜tool▁call▁begin｜>f<｜tool▁sep｜>hello',
    text('a<｜tool▁call▁begin｜>f<｜tool▁sep｜>hello'),
  ],
  [
    'a call of DeepSeek after reasoning',
    { parser: 'deepseek_v3', reasoning: 'inside' },
    `Hm.\n</think>\n\n${ALL(V3('f', '{"a": 1}'))}`,
    { text: '', reasoning: 'Hm.', calls: [['f', '{"a": 1}']] },
  ],
];

describe('the reader of calls of DeepSeek', () => finds(CASES));
