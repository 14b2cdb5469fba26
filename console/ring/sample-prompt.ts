/** A prompt to try the fleet with: a sheet of notes, long enough that computing it takes a while, and a question about it. Pure. */

const COLOURS = ['amber', 'plum', 'teal', 'silver', 'green', 'bronze', 'ivory', 'scarlet'];
const THINGS = ['key', 'lamp', 'chest', 'violin', 'kite', 'clock', 'mask', 'drum'];
const PLACES = ['harbor', 'lighthouse', 'museum', 'garden', 'library', 'cellar', 'tower', 'market'];
const PEOPLE = ['Mara', 'Otto', 'Lena', 'Ida', 'Nils', 'Rosa', 'Hugo', 'Vera'];

/** About ten tokens each. */
export const SAMPLE_NOTES = COLOURS.flatMap((colour, i) =>
  THINGS.map((thing, k) => {
    const turn = (i * 3 + k * 5) % 8;
    return (i + k) % 2 === 0
      ? `The ${colour} ${thing} is in the ${PLACES[turn]}.`
      : `The ${colour} ${thing} belongs to ${PEOPLE[turn]}.`;
  }),
);

export const SAMPLE_QUESTION = 'Where is the amber key?';

export const SAMPLE_PROMPT = `Notes:\n${SAMPLE_NOTES.join('\n')}\n\nQ: ${SAMPLE_QUESTION}\nA:`;
