import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';

/** The generated parts of docs/ARCHITECTURE.md: its index of files, and the figures of the source tree. */

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const FOLDERS = ['src', 'coordinator', 'workers', 'cli', 'bench', 'console'];
const LONG_FUNCTION_LINES = 70;

export interface SourceFile {
  /** In this repository. */
  readonly path: string;
  readonly text: string;
}

export function sourceFiles(): SourceFile[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
      .map((name) => `${folder}/${name}`)
      .sort()
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') })),
  );
}

/** The page as it should be: with the text between its markers `<!-- NAME -->` and `<!-- /NAME -->` made from the files. */
export function architecturePage(page: string, files: readonly SourceFile[]): string {
  const parts = { figures: figuresTable(files), files: fileIndex(files) };
  return Object.entries(parts).reduce((text, [name, part]) => {
    const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- /${name} -->)`);
    if (!marked.test(text))
      throw new Error(`docs/ARCHITECTURE.md has no markers <!-- ${name} --> and <!-- /${name} -->`);
    return text.replace(marked, (_, begin: string, end: string) => `${begin}\n${part}\n${end}`);
  }, page);
}

const DOC = /^\/\*\*([\s\S]*?)\*\/\n(.*)/gm;
const DECLARATION = /^(?:export )?(?:abstract )?(?:async )?(?:class|interface|type|function\*?|const) (\w+)/;

/**
 * The first sentence about what a file holds: of a doc comment that stands by itself, else of the declaration that has the file's name, else of
 * the first declaration that is not a constant in capitals, as bounds stand above what the file holds. Null where there is no doc comment.
 */
export function summaryOf({ path, text }: SourceFile): string | null {
  const comments = [...text.matchAll(DOC)].map(([, body, next]) => ({
    body: body!,
    alone: next === '',
    declares: DECLARATION.exec(next!)?.[1] ?? '',
  }));
  const name = basename(path)
    .replace(/\.tsx?$/, '')
    .replaceAll('-', '');
  const comment =
    comments.find(({ alone }) => alone) ??
    comments.find(({ declares }) => declares.toLowerCase() === name) ??
    comments.find(({ declares }) => !/^[A-Z][A-Z0-9_]*$/.test(declares)) ??
    comments[0];
  if (comment === undefined) return null;
  const words = comment.body
    .replace(/^\s*\*/gm, '')
    .replace(/@(?:internal|param|returns|throws)\b[\s\S]*$/, '')
    .replace(/\s+/g, ' ')
    .trim();
  return /^.*?[.!?](?= [A-Z`"'(]|$)/.exec(words)?.[0] ?? words;
}

function fileIndex(files: readonly SourceFile[]): string {
  const folders = new Map<string, string[]>();
  for (const file of files) {
    const lines = folders.get(dirname(file.path)) ?? [];
    lines.push(`- \`${basename(file.path)}\` – ${summaryOf(file) ?? ''}`);
    folders.set(dirname(file.path), lines);
  }
  return [...folders].map(([folder, lines]) => `### \`${folder}/\`\n\n${lines.join('\n')}`).join('\n\n');
}

function figuresTable(files: readonly SourceFile[]): string {
  const measured = files.map(measure);
  const functions = measured.flatMap((one) => one.functions).sort((a, b) => b.lines - a.lines);
  const [longest] = functions;
  const sum = (of: (one: Measured) => number) => measured.reduce((total, one) => total + of(one), 0);
  const lines = sum((one) => one.lines);
  const rows = [
    ['files', String(files.length)],
    ['lines', String(lines)],
    ['longest function', `\`${longest!.name}\` in \`${longest!.path}\`, ${longest!.lines} lines`],
    [
      `functions over ${LONG_FUNCTION_LINES} lines`,
      String(functions.filter((one) => one.lines > LONG_FUNCTION_LINES).length),
    ],
    ['lines that are comments', `${((100 * sum((one) => one.commentLines)) / lines).toFixed(1)} %`],
  ];
  return ['| production code | |', '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');
}

interface MeasuredFunction {
  readonly path: string;
  readonly name: string;
  readonly lines: number;
}

interface Measured {
  readonly lines: number;
  readonly commentLines: number;
  readonly functions: readonly MeasuredFunction[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Takes the place of each character of a comment: a private one, which no source has. */
const COMMENT = '\uE000';
const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'];
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value;

function measure({ path, text }: SourceFile): Measured {
  const { program, comments } = parseSync(path, text);
  const functions: MeasuredFunction[] = [];
  const visit = (node: Node, name: string) => {
    if (FUNCTIONS.includes(node.type)) {
      const lines = text.slice(node.start, node.end).split('\n').length;
      functions.push({ path, name: nameIn(node) ?? name, lines });
    }
    const own = nameIn(node) ?? name;
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, own);
    }
  };
  visit(program as unknown as Node, basename(path));
  const code = comments
    .toReversed()
    .reduce(
      (rest, { start, end }) =>
        rest.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, COMMENT) + rest.slice(end),
      text,
    );
  const lines = code.trimEnd().split('\n');
  return {
    lines: lines.length,
    commentLines: lines.filter((line) => line.trimStart().startsWith(COMMENT)).length,
    functions,
  };
}

/** The name that a declaration, a variable, a member or a property gives. */
function nameIn({ id, key }: Node): string | null {
  const named = isNode(id) ? id : isNode(key) ? key : null;
  return typeof named?.name === 'string' ? named.name : null;
}
