import type { AdapterRef } from '../../src/protocol/adapter.js';
import { ApiError } from '../openai/api-error.js';
import { adapterNamed, type ServedModel } from '../openai/served-model.js';
import type { Principal } from './principal.js';

/**
 * The adapter of a name; null for the model itself. No name means the fleet's model.
 * @throws ApiError 404 for an unknown model, 403 for one that the caller may not use
 */
export function checkModel(
  model: ServedModel,
  name: string | undefined,
  principal: Principal | null,
): AdapterRef | null {
  const adapter = adapterNamed(model, name);
  if (mayUse(model, name ?? model.name, principal)) return adapter;
  throw new ApiError(403, `model: the key '${principal?.id}' may not use the model '${name ?? model.name}'`, {
    param: 'model',
    code: 'model_not_allowed',
  });
}

/** A grant of the model's own name covers its aliases, and no adapter. */
export function mayUse(model: ServedModel, name: string, principal: Principal | null): boolean {
  const models = principal?.models ?? null;
  if (models === null || models.includes(name)) return true;
  return models.includes(model.name) && model.adapters.find(name) === null;
}
