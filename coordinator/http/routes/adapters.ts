import { z } from 'zod';
import { CLIENT_NAME_CHARS } from '../../../src/limits.js';
import type { AdapterRef } from '../../../src/protocol/adapter.js';
import { ApiError } from '../../openai/api-error.js';
import { checkBody } from '../../openai/parameters/check-body.js';
import type { ServedModel } from '../../openai/served-model.js';
import type { HttpRoute, RouteAnswer } from '../route.js';

/** `POST /v1/load_lora_adapter` and `/v1/unload_lora_adapter`, as vLLM has them. */

/** The operators' commands for the adapters of a fleet. */
export interface AdapterCommands {
  /** Rejects with `InvalidRequest`. */
  load(name: string, path: string): Promise<AdapterRef>;
  /** False if no adapter has this name. */
  unload(name: string): Promise<boolean>;
}

const LoadRequest = z.object({
  lora_name: z.string().min(1).max(CLIENT_NAME_CHARS),
  /** A file of `--adapter-dir`. */
  lora_path: z.string().min(1).max(4_096),
  /** Whether an adapter of this name may be replaced. */
  load_inplace: z.boolean().optional(),
  /** A field of vLLM, whose answers name the adapter's base model. */
  base_model_name: z.string().max(CLIENT_NAME_CHARS).optional(),
});

const UnloadRequest = z.object({
  lora_name: z.string().min(1).max(CLIENT_NAME_CHARS),
  /** Of vLLM, which numbers its adapters. */
  lora_int_id: z.int().optional(),
});

export function adapterRoutes(model: ServedModel, commands: AdapterCommands): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/load_lora_adapter',
      about: { summary: 'Serves an adapter under a name.', body: LoadRequest, answers: { 200: ['text/plain'] } },
      access: 'operator',
      handle: async ({ body }) => {
        const { lora_name: name, lora_path: path, load_inplace: inPlace } = checkBody(LoadRequest, body);
        if (name === model.name || model.aliases.includes(name) || (!inPlace && model.adapters.find(name) !== null))
          throw new ApiError(400, `lora_name: '${name}' is served already; unload it first, or set load_inplace`, {
            param: 'lora_name',
            code: 'adapter_exists',
          });
        await commands.load(name, path);
        return text(`Success: LoRA adapter '${name}' added successfully.`);
      },
    },
    {
      method: 'POST',
      path: '/v1/unload_lora_adapter',
      about: { summary: 'Serves an adapter no longer.', body: UnloadRequest, answers: { 200: ['text/plain'] } },
      access: 'operator',
      handle: async ({ body }) => {
        const { lora_name: name } = checkBody(UnloadRequest, body);
        if (await commands.unload(name)) return text(`Success: LoRA adapter '${name}' removed successfully.`);
        throw new ApiError(404, `lora_name: no adapter '${name}' is served; GET /v1/models lists them`, {
          param: 'lora_name',
          code: 'model_not_found',
        });
      },
    },
  ];
}

function text(line: string): RouteAnswer {
  return { kind: 'text', contentType: 'text/plain; charset=utf-8', text: line };
}
