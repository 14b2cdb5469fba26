import { join } from 'node:path';
import { expect, it } from 'vitest';
import { TokenTexts } from '../../../../bench/twins/token-texts.js';
import { writeTwin } from '../../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../../bench/twins/twins.js';
import { showToken } from '../../../../coordinator/openai/token-report.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { Tokenizer } from '../../../../src/model/tokenizer.js';
import { scratchFolder } from '../../model/folders.js';

it('the texts of tokens are those that the API shows, and all differ', async () => {
  const dir = join(await scratchFolder(), 'twin');
  await writeTwin(TWINS[0]!, dir);
  const tokenizer = await Tokenizer.load(await openModelFolder(dir));
  const texts = new TokenTexts(512);
  const ids = Array.from({ length: 512 }, (_, id) => id);
  const shown = ids.map((id) => showToken(tokenizer.tokenBytes(id)).text);
  expect(shown.map((text) => texts.idOf(text))).toEqual(ids);
  expect(texts.idOf('no token')).toBe(-1);
});
