import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { JSON_SCHEMA } from '../openai/fields.js';
import type { HttpRoute } from './route.js';

/** The OpenAPI 3.1 document of the routes. */

type JsonObject = Readonly<Record<string, unknown>>;

const JSON_TYPE = 'application/json';
const EVENTS_TYPE = 'text/event-stream';

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

function operation({ about, access, generates, method, path, uploadBytes }: HttpRoute): JsonObject {
  const names = [...templateOf(path).matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  const answers = about!.answers ?? { 200: generates ? [JSON_TYPE, EVENTS_TYPE] : [JSON_TYPE] };
  return {
    operationId: `${method.toLowerCase()}${templateOf(path).replace(/\W+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: about!.summary,
    ...(access === 'open' ? { security: [] } : { security: [{ key: [] }, {}] }),
    ...(names.length > 0 ? { parameters: names.map(pathParameter) } : {}),
    ...(about!.body === undefined ? {} : { requestBody: bodyOf(about!.body) }),
    ...(uploadBytes === undefined ? {} : { requestBody: { content: { '*/*': {} } } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, types]) => [status, answerOf(Number(status), types, about!.answer)]),
      ),
      default: {
        description: 'The request failed.',
        content: { [JSON_TYPE]: { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

function answerOf(status: number, types: readonly string[], answer: z.ZodType | undefined): JsonObject {
  const description = `${STATUS_CODES[status]}.`;
  const content = () => Object.fromEntries(types.map((type) => mediaType(type, answer)));
  return types.length === 0 ? { description } : { description, content: content() };
}

/** Texts have a schema, and so do objects; bytes have none. */
function mediaType(type: string, answer: z.ZodType | undefined): [string, JsonObject] {
  if (type === JSON_TYPE) return [type, { schema: answer === undefined ? { type: 'object' } : schemaOf(answer) }];
  return [type, type.startsWith('text/') ? { schema: { type: 'string' } } : {}];
}

function pathParameter(name: string): JsonObject {
  return { name, in: 'path', required: true, schema: { type: 'string' } };
}

function bodyOf(body: z.ZodType): JsonObject {
  return { required: true, content: { [JSON_TYPE]: { schema: schemaOf(body) } } };
}

function schemaOf(type: z.ZodType): JsonObject {
  const { $schema: _, ...schema } = z.toJSONSchema(type, JSON_SCHEMA) as Record<string, unknown>;
  return schema;
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
