import { LineCounter, parseDocument } from 'yaml';

/** Reads YAML, of which JSON is a part. The only file that imports yaml. */

/** A place in a document: the keys and indexes that lead to it. */
export type DocumentPath = readonly (string | number)[];

export type ReadYaml =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** The line, from 1, of the value at a path, or of the nearest value around it. */
      lineOf(path: DocumentPath): number;
    }
  | { readonly ok: false; readonly line: number; readonly message: string };

/** Aliases that one document may expand; more is an attempt to exhaust memory. */
const ALIASES = 256;

/** Parses one document of YAML 1.2. A key that occurs twice in a mapping is an error. */
export function readYaml(text: string): ReadYaml {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) return { ok: false, line: lines.linePos(error.pos[0]).line, message: error.message };
  const lineOf = (path: DocumentPath): number => {
    for (let depth = path.length; depth > 0; depth--) {
      const node: unknown = document.getIn(path.slice(0, depth), true);
      const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : null;
      if (Array.isArray(range)) return lines.linePos(Number(range[0])).line;
    }
    return 1;
  };
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: ALIASES }), lineOf };
  } catch (fault) {
    return { ok: false, line: 1, message: fault instanceof Error ? fault.message : String(fault) };
  }
}
