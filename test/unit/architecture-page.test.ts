import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { architecturePage, type SourceFile, sourceFiles, summaryOf } from '../support/architecture-page.js';

const PAGE = fileURLToPath(new URL('../../docs/ARCHITECTURE.md', import.meta.url));
const file = (text: string): SourceFile => ({ path: 'src/a/b.ts', text });

describe('docs/ARCHITECTURE.md', () => {
  it('has the index and the figures of the source tree (npm run docs writes them)', async () => {
    await expect(architecturePage(readFileSync(PAGE, 'utf8'), sourceFiles())).toMatchFileSnapshot(PAGE);
  });

  it('counts no function over 70 lines', () => {
    expect(readFileSync(PAGE, 'utf8')).toContain('| functions over 70 lines | 0 |');
  });

  it('describes each file in one sentence', () => {
    const bad = sourceFiles()
      .map((source) => ({ path: source.path, summary: summaryOf(source) }))
      .filter(({ summary }) => summary === null || !summary.endsWith('.'));
    expect(bad).toEqual([]);
  });

  it('takes the first sentence of the first doc comment, except that of a limit', () => {
    const text = [
      "import { x } from 'y';",
      '/** How often it is tried. */',
      'export const ATTEMPTS = 4;',
      '/**',
      ' * Tries things, e.g.',
      ' * hard ones. At most four times.',
      ' */',
      'export class Tries {}',
    ].join('\n');
    expect(summaryOf(file(text))).toBe('Tries things, e.g. hard ones.');
    expect(summaryOf(file('/** Of one line */\nexport const a = 1;'))).toBe('Of one line');
    expect(summaryOf(file('interface A {\n  /** Of a member. */\n  b: 1;\n}'))).toBeNull();
  });

  it('measures functions by their lines, and comments by the lines that contain only a comment', () => {
    const long = `/** Two\n * lines. */\nclass A {\n  long() {\n${'    x();\n'.repeat(70)}  }\n}\nconst b = () => 1; // no line of its own\n`;
    const page = '<!-- figures -->\n\n<!-- /figures -->\n<!-- files -->\n\n<!-- /files -->\n';
    const made = architecturePage(page, [file(long)]);
    expect(made).toContain('| longest function | `long` in `src/a/b.ts`, 72 lines |');
    expect(made).toContain('| functions over 70 lines | 1 |');
    expect(made).toContain('| lines | 77 |');
    expect(made).toContain('| lines that are comments | 2.6 % |');
    expect(made).toContain('### `src/a/`\n\n- `b.ts` – Two lines.');
  });
});
