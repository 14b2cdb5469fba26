import { z } from 'zod';
import { JSON_SCHEMA } from '../openai/fields.js';
import type { HttpRoute } from './route.js';

/** The OpenAPI 3.1 document of the routes. */

type JsonObject = Readonly<Record<string, unknown>>;

/** One document for all routes that say something about themselves. */
export function openApi(routes: readonly HttpRoute[], version: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const route of routes) {
    if (route.about === undefined) continue;
    const path = templateOf(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'shoal', version, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { Error: ERROR },
    },
  };
}

/** Fastify's `:name` and `*` as OpenAPI's `{name}` and `{path}`. */
function templateOf(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}');
}

function operation({ about, access, generates, method, path }: HttpRoute): JsonObject {
  const names = [...templateOf(path).matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  const success = generates
    ? { 'application/json': { schema: { type: 'object' } }, 'text/event-stream': { schema: { type: 'string' } } }
    : { 'application/json': { schema: { type: 'object' } } };
  return {
    operationId: `${method.toLowerCase()}${templateOf(path).replace(/\W+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: about!.summary,
    ...(access === 'open' ? { security: [] } : { security: [{ key: [] }, {}] }),
    ...(names.length > 0 ? { parameters: names.map(pathParameter) } : {}),
    ...(about!.body === undefined ? {} : { requestBody: bodyOf(about!.body) }),
    responses: {
      200: { description: 'The answer.', content: success },
      default: {
        description: 'The request failed.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

function pathParameter(name: string): JsonObject {
  return { name, in: 'path', required: true, schema: { type: 'string' } };
}

function bodyOf(body: z.ZodType): JsonObject {
  const { $schema: _, ...schema } = z.toJSONSchema(body, JSON_SCHEMA) as Record<string, unknown>;
  return { required: true, content: { 'application/json': { schema } } };
}

const nullable = (type: string) => ({ type: [type, 'null'] });

const ERROR: JsonObject = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: nullable('string'),
        code: nullable('string'),
      },
    },
  },
};
