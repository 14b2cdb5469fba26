import type { CoordinatorConfig } from '../src/config/coordinator-config.js';
import type { KvDependence } from '../src/core/kv-dependence.js';
import type { KvLayout } from '../src/core/kv-layout.js';
import { BLOCK_TOKENS, PROMPT_TOKENS } from '../src/limits.js';
import { type LoraInput, loraInputs } from '../src/model/adapter/lora-input.js';
import { modelFingerprint } from '../src/model/fingerprint.js';
import { openModelFolder } from '../src/model/folder.js';
import { graphSignature } from '../src/model/graph-signature.js';
import { kvDependence } from '../src/model/kv-dependence.js';
import { Tokenizer } from '../src/model/tokenizer.js';
import { tokenizerInfo } from '../src/model/tokenizer-info.js';
import type { TextSource } from '../src/text/text-task.js';
import type { TextWork } from '../src/text/text-work.js';
import { messageFormatOf } from './openai/message/message-format.js';
import { NO_ADAPTERS, type ServedAdapters, type ServedModel } from './openai/served-model.js';
import type { Router } from './router.js';

/** Opens the model that a coordinator serves, to read and write texts. */

interface OpenModel {
  readonly served: ServedModel;
  readonly fingerprint: string;
  readonly layout: KvLayout;
  readonly dependence: KvDependence;
  /** The inputs of the graph that take adapters. */
  readonly loraInputs: readonly LoraInput[];
  /** Name of the model's folder, for messages. */
  readonly name: string;
}

/** Opens the tokenizer, template and configuration of the model. The weights are hashed for the fingerprint, and not loaded. */
export async function openModel(
  config: CoordinatorConfig,
  openText: (source: TextSource) => Promise<TextWork>,
): Promise<OpenModel> {
  const folder = await openModelFolder(config.modelDir, config.graph);
  const tokenizer = await Tokenizer.loadDecoder(folder);
  const { layout } = graphSignature(folder.graph, folder.config, BLOCK_TOKENS);
  const served: ServedModel = {
    name: config.servedModelName,
    aliases: config.modelAliases,
    adapters: NO_ADAPTERS,
    tokenizer,
    tokenizerInfo: tokenizerInfo(folder),
    text: await openText(folder),
    message: messageFormatOf(folder.chatTemplate, tokenizer, config.parsers, folder.toolTemplate),
    contextTokens: Math.min(config.contextTokens ?? PROMPT_TOKENS, folder.config.contextTokens),
    defaults: folder.defaults,
    createdAt: Math.floor(Date.now() / 1000),
  };
  const fingerprint = await modelFingerprint(folder, layout);
  return {
    ...{ served, fingerprint, layout, name: folder.name },
    dependence: kvDependence(folder),
    loraInputs: loraInputs(folder.graph),
  };
}

/** The model with these adapters, and the context that the workers offer, where that is less than the coordinator's own limit. */
export function withOffered(
  served: ServedModel,
  router: Pick<Router, 'offeredContextTokens'>,
  adapters: ServedAdapters,
): ServedModel {
  const own = served.contextTokens;
  return {
    ...served,
    adapters,
    get contextTokens() {
      return Math.min(own, router.offeredContextTokens ?? own);
    },
  };
}
