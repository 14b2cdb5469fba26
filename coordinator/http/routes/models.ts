import { checkModel, mayUse } from '../../access/model-access.js';
import type { ServedModel } from '../../openai/served-model.js';
import { MODEL_ANSWER, MODELS_ANSWER } from '../answer-schemas.js';
import { type HttpRoute, json } from '../route.js';

/** `GET /v1/models` and `GET /v1/models/{name}`. */
export function modelRoutes(model: ServedModel): HttpRoute[] {
  const entry = (id: string) => {
    const adapter = model.adapters.find(id);
    return {
      id,
      object: 'model',
      created: adapter?.createdAt ?? model.createdAt,
      owned_by: 'shoal',
      root: adapter?.ref.file ?? model.name,
      parent: adapter === null ? null : model.name,
      max_model_len: model.contextTokens,
    };
  };
  return [
    {
      method: 'GET',
      path: '/v1/models',
      about: { summary: 'Lists the names of the served model, and its adapters.', answer: MODELS_ANSWER },
      access: 'key',
      pages: 'allowed',
      handle: ({ principal }) => {
        const adapters = model.adapters.list().map(({ ref }) => ref.name);
        const names = [model.name, ...model.aliases, ...adapters].filter((name) => mayUse(model, name, principal));
        return json({ object: 'list', data: names.map(entry) });
      },
    },
    {
      method: 'GET',
      // A wildcard, because names may contain slashes.
      path: '/v1/models/*',
      about: { summary: 'Describes the served model.', answer: MODEL_ANSWER },
      access: 'key',
      pages: 'allowed',
      handle: ({ params, principal }) => {
        const name = params['*'] ?? '';
        checkModel(model, name, principal);
        return json(entry(name));
      },
    },
  ];
}
