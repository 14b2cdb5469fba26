import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

/** The built files of the console, kept in memory. */

/** The browser may run and load the console's own files, and talk to its own coordinator; nothing else. */
export const CONSOLE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface ConsoleFile {
  readonly contentType: string;
  readonly text: string;
}

/** Files by their path below the folder, such as `index.html` and `assets/app.js`. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

/** Reads all files of the folder. Empty if there is none: the package was not built. */
export function readConsoleFiles(folder: string): ConsoleFiles {
  const files = new Map<string, ConsoleFile>();
  for (const name of namesIn(folder)) {
    const contentType = TYPES[extname(name)];
    if (contentType !== undefined) files.set(name, { contentType, text: readFileSync(join(folder, name), 'utf8') });
  }
  return files;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
