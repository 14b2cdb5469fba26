import { type FleetApi, pooled } from '../fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../fleet/recall-sheet.js';

const AT_ONCE = 4;

/** A prompt, and its answer according to the notes in it. */
export interface RecallPrompt {
  readonly prompt: string;
  readonly answer: string;
}

/** The prompts of one sheet of notes, which share its blocks: about 11 tokens a note. */
export function promptsOf(notes: number, seed: number): RecallPrompt[] {
  const sheet = recallSheet(notes, seed);
  return sheet.questions.map(({ question, answer }) => ({ prompt: recallPrompt(sheet, question), answer }));
}

/** Prefixes that a fleet has computed: one prompt for each. */
export class Prefixes {
  private constructor(
    private readonly api: FleetApi,
    readonly prompts: readonly RecallPrompt[],
  ) {}

  /** Has `count` fresh prefixes computed, all by the worker if one is given. @throws Error if a request fails */
  static async compute(
    api: FleetApi,
    count: number,
    { seed, notes = 24, worker }: { seed: number; notes?: number; worker?: string },
  ): Promise<Prefixes> {
    const prompts = Array.from({ length: count }, (_, i) => promptsOf(notes, seed + i)[0]!);
    const headers: Record<string, string> = worker === undefined ? {} : { 'x-shoal-worker': worker };
    await pooled(
      AT_ONCE,
      prompts.map(
        ({ prompt }) =>
          () =>
            api.complete({ prompt }, headers),
      ),
    );
    return new Prefixes(api, prompts);
  }

  /** The number of copies of each block of all prefixes. */
  async copies(api = this.api): Promise<number[]> {
    return (await Promise.all(this.prompts.map(({ prompt }) => api.copies(prompt)))).flat();
  }

  /** Whether each block has at least this many copies. */
  async have(copies: number): Promise<boolean> {
    return (await this.copies()).every((count) => count >= copies);
  }

  /** Answers that agree neither with the notes nor with the answer computed without any cache. */
  async wrong(worker?: string): Promise<number> {
    const headers: Record<string, string> = worker === undefined ? {} : { 'x-shoal-worker': worker };
    let wrong = 0;
    for (const { prompt, answer } of this.prompts) {
      const said = textOf(await this.api.complete({ prompt }, headers));
      if (said !== answer && said !== (await uncached(this.api, prompt))) wrong++;
    }
    return wrong;
  }
}

/** The answer to a prompt that no cache knows. */
export async function uncached(api: FleetApi, prompt: string): Promise<string> {
  return textOf(await api.complete({ prompt, cache_salt: `alone ${prompt.slice(-48)}` }));
}

function textOf(completion: { readonly choices: readonly { readonly text: string }[] }): string {
  return completion.choices[0]!.text.trim();
}
