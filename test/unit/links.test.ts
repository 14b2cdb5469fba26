import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from '../../cli/program.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const inFolder = (folder: string) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
const pages = ['.', 'docs', 'docs/runbooks'].flatMap(inFolder);
const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8');

/** The page without blocks of code, whose links are none. */
const prose = (text: string) => text.replace(/^( *)```[\s\S]*?^\1```/gm, '');

/** The anchors of a page, as GitHub makes them from headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...prose(text).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Why a link of a page leads nowhere; null if it leads somewhere, or to another site. */
function faultOf(page: string, link: string): string | null {
  if (/^[a-z]+:/.test(link)) return null;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, target))) return `${link}: there is no ${target}`;
  if (anchor === undefined || statSync(join(ROOT, target)).isDirectory()) return null;
  return anchorsOf(textOf(target)).has(anchor) ? null : `${link}: ${target} has no such heading`;
}

/** The words after `shoal` in code. */
function commandsIn(text: string): string[] {
  const code = [...text.matchAll(/^ *```(?:sh|bash)[^\n]*\n([\s\S]*?)^ *```/gm)].map(([, block]) => block!);
  const inline = [...prose(text).matchAll(/`(shoal [^`]+)`/g)].map(([, command]) => command!);
  const lines = [...code.flatMap((block) => block.split('\n')), ...inline];
  return lines.flatMap((line) =>
    [...line.matchAll(/(?:^|[|;&(] *)shoal ([a-z][a-z-]*(?: [a-z]+)?)/g)].map(([, words]) => words!),
  );
}

async function helpOf(...names: string[]): Promise<string> {
  let out = '';
  await run([...names, '--help'], {
    environment: {},
    io: {
      out: (text) => {
        out += text;
      },
      err: () => {},
    },
  });
  return out;
}
const namesIn = (help: string) => [...help.matchAll(/^ {2}([a-z][a-z-]*)\b/gm)].map(([, name]) => name!);

describe('the pages', () => {
  it.each(pages)('%s has only links that lead somewhere', (page) => {
    const links = [...prose(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
    expect(links.map((link) => faultOf(page, link)).filter((fault) => fault !== null)).toEqual([]);
  });

  it('name only commands that there are', async () => {
    const known = new Set(namesIn(await helpOf()));
    const parents = ['model', 'config', 'debug'];
    for (const parent of parents) for (const name of namesIn(await helpOf(parent))) known.add(`${parent} ${name}`);
    expect(known).toContain('drain');
    const faults = pages.flatMap((page) =>
      commandsIn(textOf(page)).flatMap((words) => {
        const [first = ''] = words.split(' ');
        const name = parents.includes(first) ? words : first;
        return known.has(name) ? [] : [`${page}: shoal ${name}`];
      }),
    );
    expect(faults).toEqual([]);
  });
});
