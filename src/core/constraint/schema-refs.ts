import { InvalidRequest } from '../../errors.js';
import { isPlainRef, type JsonSchema } from './schema-facts.js';

/** References that lead to each other. */
const REFS = 64;

/** Resolves the references within a schema. */
export class SchemaRefs {
  /** The whole schema, without its address: references are found by their place in it. */
  readonly root: JsonSchema;

  constructor(schema: JsonSchema) {
    this.root = withoutId(schema);
  }

  /** Follows references that say nothing else. @throws InvalidRequest as `deref`, and for references to themselves */
  target(schema: JsonSchema): JsonSchema {
    let at = schema;
    for (let i = 0; isPlainRef(at); i++) {
      if (i >= REFS) throw new InvalidRequest(`$ref: '${at.$ref}' refers to itself`);
      at = this.deref(at.$ref);
    }
    return at;
  }

  /** @throws InvalidRequest if the reference names nothing in the schema, or something within a schema that has its own address */
  deref(ref: string): JsonSchema {
    const wrong = new InvalidRequest(
      `$ref: '${ref}' is not in the schema; only references such as #/$defs/name can be honoured`,
    );
    if (ref !== '#' && !ref.startsWith('#/')) throw wrong;
    let at: unknown = this.root;
    for (const part of ref.split('/').slice(1)) {
      const name = decoded(part);
      if (name === null || typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) throw wrong;
      at = (at as Record<string, unknown>)[name];
      if (hasId(at)) throw new InvalidRequest('$id: cannot be honoured within a schema; leave it out');
    }
    if (typeof at !== 'boolean' && (typeof at !== 'object' || at === null)) throw wrong;
    return at as JsonSchema;
  }
}

function hasId(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { $id?: unknown }).$id === 'string';
}

function withoutId(schema: JsonSchema): JsonSchema {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema;
  const { $id: _, ...rest } = schema;
  return rest;
}

/** A part of a JSON pointer; null if it is none. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return null;
  }
}
