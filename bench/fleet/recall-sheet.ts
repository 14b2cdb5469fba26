/** Sheets of notes with questions that only the notes answer, drawn as those the recall model was trained on (`models/recall/train/corpus.py`). */

const COLORS =
  'amber azure black blue bronze brown copper coral crimson cyan emerald gold green grey indigo ivory jade maroon olive orange pearl pink plum purple red rose ruby scarlet silver teal violet white yellow'.split(
    ' ',
  );
const OBJECTS =
  'anchor basket bell blanket book bottle box broom bucket candle chair chest clock coat compass cup curtain desk diary door drum flag flute gate glove hammer hat helmet jar kettle key kite knife ladder lamp lantern letter lock map mask mirror needle net paddle pen pipe plate pot ring rope saddle scarf shield shovel spoon stamp table tent torch trunk vase violin wagon wheel whistle'.split(
    ' ',
  );
const PLACES =
  'attic bakery barn basement bridge cabin canyon castle cave cellar chapel church clinic cottage courtyard dock factory farm forest fort garden greenhouse hall hangar harbor hotel island kitchen library lighthouse market meadow mill mine museum office orchard palace park pier port prison quarry ranch river school shed ship shop stable station studio temple theater tower tunnel valley vault village warehouse well windmill workshop yard'.split(
    ' ',
  );
const NAMES =
  'Ada Alan Alice Amir Ana Anton Aria Ben Boris Carla Cesar Chen Clara Dana David Diego Dora Edgar Elena Elias Emma Erik Eva Farah Felix Fiona Grace Hana Hugo Ida Ines Iris Ivan Jack Jonas Julia Karim Kira Lars Lena Leo Lina Lucas Maya Mila Mira Nadia Nina Noah Nora Olga Omar Oscar Otto Pablo Petra Quinn Rosa Ruth Sara Simon Sofia Stella Tara Theo Tom Uma Vera Victor Wanda Yara Yusuf Zoe'.split(
    ' ',
  );

export interface RecallSheet {
  /** The notes, as the system message of a chat. */
  readonly notes: string;
  readonly questions: readonly { readonly question: string; readonly answer: string }[];
}

/** A sheet of `count` notes, the same for the same seed. */
export function recallSheet(count: number, seed: number): RecallSheet {
  const random = mulberry32(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const colors = shuffled(COLORS, random).slice(0, 3 + Math.floor(count / 2));
  const things = colors.flatMap((color) =>
    shuffled(OBJECTS, random)
      .slice(0, 3 + Math.floor(count / 2))
      .map((object) => `${color} ${object}`),
  );
  const questions = shuffled(things, random)
    .slice(0, count)
    .map((thing) => {
      switch (Math.floor(random() * 3)) {
        case 0:
          return { question: `Where is the ${thing}?`, answer: `The ${thing} is in the ${pick(PLACES)}.` };
        case 1:
          return { question: `Who owns the ${thing}?`, answer: `The ${thing} belongs to ${pick(NAMES)}.` };
        default: {
          const code = String(Math.floor(random() * 10_000)).padStart(4, '0');
          return { question: `What opens the ${thing}?`, answer: `The ${thing} opens with ${code}.` };
        }
      }
    });
  return { notes: `Notes:\n${questions.map((q) => q.answer).join('\n')}`, questions };
}

/** The prompt of one question, as the model's chat template renders it. */
export function recallPrompt(sheet: RecallSheet, question: string): string {
  return `${sheet.notes}\n\nQ: ${question}\nA:`;
}

function shuffled<T>(from: readonly T[], random: () => number): T[] {
  const all = [...from];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

/** Tommy Ettinger's mulberry32: small, seeded, good enough to draw test data. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
