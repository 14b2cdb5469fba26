import { type ErrorCode, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';

/** Reads YAML, and so JSON. The only file that imports yaml. No message repeats text of the document, which may hold secrets. */

/** A place in a document: the keys and indexes that lead to it. */
export type DocumentPath = readonly (string | number)[];

/** Both from 1. */
interface Position {
  readonly line: number;
  readonly column: number;
}

export type ReadYaml =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** The line, from 1, of the value at a path, or of the nearest value around it. */
      lineOf(path: DocumentPath): number;
      /** The position of the name of the field at a path. */
      fieldAt(path: DocumentPath): Position;
    }
  | ({ readonly ok: false; readonly message: string } & Position);

type Document = ReturnType<typeof parseDocument>;

/** Aliases that one document may expand; more is an attempt to exhaust memory. */
const ALIASES = 256;
const UNKNOWN_ALIAS = 'an alias (*) names no anchor; put a string that begins with * in quotation marks';

/** Parses one document of YAML 1.2. A key that occurs twice in a mapping is an error. */
export function readYaml(text: string): ReadYaml {
  const lines = new LineCounter();
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  // The library would print its warnings, with text of the document.
  const document = parseDocument(text, {
    lineCounter: lines,
    logLevel: 'error',
    prettyErrors: false,
    uniqueKeys: true,
  });
  const [error] = document.errors;
  if (error !== undefined) return { ok: false, message: FAULTS[error.code], ...positionAt(error.pos[0]) };
  const alias = unknownAlias(document);
  if (alias !== null) return { ok: false, message: UNKNOWN_ALIAS, ...positionAt(alias) };
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES });
    return {
      ok: true,
      value,
      lineOf: (path) => positionAt(offsetOf(document, path)).line,
      fieldAt: (path) => positionAt(fieldOffset(document, path)),
    };
  } catch {
    return { ok: false, message: 'aliases (*) expand to too much, or values are nested too deep', ...positionAt(0) };
  }
}

/** Offset of the first alias without an anchor before it; null if there is none. */
function unknownAlias(document: Document): number | null {
  const anchors = new Set<string>();
  let found: number | null = null;
  visit(document, {
    Alias: (_, { source, range }) => {
      if (anchors.has(source)) return;
      found = range?.[0] ?? 0;
      return visit.BREAK;
    },
    Value: (_, { anchor }) => void (anchor !== undefined && anchors.add(anchor)),
  });
  return found;
}

/** Offset of the value at a path, or of the nearest value around it. */
function offsetOf(document: Document, path: DocumentPath): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true);
    const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : null;
    if (Array.isArray(range)) return Number(range[0]);
  }
  return 0;
}

function fieldOffset(document: Document, path: DocumentPath): number {
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const keys = isMap(parent) ? parent.items.map(({ key }) => key) : [];
  const key = keys.find((candidate) => isScalar(candidate) && String(candidate.value) === path.at(-1));
  return isScalar(key) && key.range ? key.range[0] : offsetOf(document, path);
}

const FAULTS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: 'an alias (*) must have no anchor and no tag',
  BAD_ALIAS: 'an alias (*) or an anchor (&) has a wrong name; put a string that begins with * or & in quotation marks',
  BAD_COLLECTION_TYPE: 'a tag does not fit its collection',
  BAD_DIRECTIVE: 'a directive (%) is wrong',
  BAD_DQ_ESCAPE: 'a string in quotation marks has an unknown escape sequence',
  BAD_INDENT: 'the indentation is wrong',
  BAD_PROP_ORDER: 'an anchor or a tag must stand before its value',
  BAD_SCALAR_START: 'a string must not begin with this character; put it in quotation marks',
  BLOCK_AS_IMPLICIT_KEY: 'a mapping or a list must begin on a line of its own',
  BLOCK_IN_FLOW: 'a block must not stand within { } or [ ]',
  DUPLICATE_KEY: 'a field occurs twice',
  IMPOSSIBLE: 'the text cannot be parsed',
  KEY_OVER_1024_CHARS: 'a field name must have at most 1024 characters',
  MISSING_CHAR: 'a character is missing, such as a space, a comma, a bracket or a quotation mark',
  MULTILINE_IMPLICIT_KEY: 'a field name must stand on one line, and a colon after it',
  MULTIPLE_ANCHORS: 'a value has more than one anchor',
  MULTIPLE_DOCS: 'the file must hold one document',
  MULTIPLE_TAGS: 'a value has more than one tag',
  NON_STRING_KEY: 'a field name must be a string',
  RESOURCE_EXHAUSTION: 'values are nested too deep',
  TAB_AS_INDENT: 'tabs must not indent',
  TAG_RESOLVE_FAILED: 'a tag (!) is unknown',
  UNEXPECTED_TOKEN: 'this character must not stand here; put a string with it in quotation marks',
};
