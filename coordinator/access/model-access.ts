import { ApiError } from '../openai/api-error.js';
import { checkModelName, type ServedModel } from '../openai/served-model.js';
import type { Principal } from './principal.js';

/** Throws a 404 for an unknown model, and a 403 for one that the caller may not use. No name means the fleet's model. */
export function checkModel(model: ServedModel, name: string | undefined, principal: Principal | null): void {
  checkModelName(model, name);
  if (mayUse(model, name ?? model.name, principal)) return;
  throw new ApiError(403, `model: the key '${principal?.id}' may not use the model '${name ?? model.name}'`, {
    param: 'model',
    code: 'model_not_allowed',
  });
}

/** A grant of the model's own name covers its aliases. */
export function mayUse(model: ServedModel, name: string, principal: Principal | null): boolean {
  const models = principal?.models ?? null;
  return models === null || models.includes(name) || models.includes(model.name);
}
