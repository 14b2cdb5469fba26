import { InvalidRequest } from '../../src/errors.js';
import { BANNED_TOKENS } from '../../src/limits.js';
import type { TextCaller, TextWork } from '../../src/text/text-work.js';

/**
 * The runs of tokens of texts that an answer may not have: each text as it begins a text, and as it follows a blank.
 * @throws InvalidRequest for a text that has no tokens, or if there are too many; as `TextWork.encode`
 */
export async function bannedRuns(words: readonly string[], text: TextWork, caller: TextCaller): Promise<number[][]> {
  const runs = new Map<string, number[]>();
  let left = BANNED_TOKENS;
  for (const [i, word] of words.entries()) {
    const param = `bad_words[${i}]`;
    const bare = word.trimStart();
    if (bare === '') throw new InvalidRequest(`${param}: must not be blank`, param);
    for (const spelled of [bare, ` ${bare}`]) {
      const encoded = await text.encode(
        spelled,
        { param, addSpecialTokens: false, parseSpecial: true, mostTokens: left },
        caller,
      );
      if (encoded.type === 'too-long')
        throw new InvalidRequest(
          `bad_words: must have at most ${BANNED_TOKENS} tokens in total, each counted with and without a blank before it`,
          'bad_words',
        );
      const run = [...encoded.tokens];
      if (run.length === 0) throw new InvalidRequest(`${param}: the model has no tokens for it`, param);
      if (runs.has(run.join())) continue;
      runs.set(run.join(), run);
      left -= run.length;
    }
  }
  return [...runs.values()];
}
