import type { Constraint } from '../core/constraint/constraint.js';
import type { Tenant } from '../core/fair-shares.js';
import type { ChatMessage, TemplateVariable } from '../model/chat-template.js';

/**
 * The port through which texts become tokens: everything whose cost depends on a client's text or on a regular expression or template of the
 * model, which is everything but the decoding of a few tokens (`TokenDecoder`).
 */
export interface TextWork {
  /** Whether the model has a chat template. */
  readonly hasTemplate: boolean;
  /**
   * Converts a text to tokens.
   * @throws InvalidRequest for a text that the model cannot represent, or that takes too long; Overloaded; Unavailable; the reason of the caller's signal
   */
  encode(text: string, options: TextOptions, caller: TextCaller): Promise<EncodedText>;
  /** Renders a conversation by the model's template and converts it to tokens. Throws as `encode`, and for messages that the template rejects. */
  encodeChat(messages: readonly ChatMessage[], options: ChatTextOptions, caller: TextCaller): Promise<EncodedText>;
  /** Compiles a constraint, for `Sampling.constraint`. Throws as `encode`, and for a constraint that cannot be honoured. */
  constrain(constraint: Constraint, options: Pick<TextOptions, 'param'>, caller: TextCaller): Promise<Uint8Array>;
  /** Converts tokens of the model to text, special tokens included. Throws as `encode`. */
  decode(tokens: Uint32Array, options: Pick<TextOptions, 'param'>, caller: TextCaller): Promise<string>;
}

/** The caller for whom a text is converted. */
export interface TextCaller {
  /** The tenant whose share of the time it takes. */
  readonly tenant: Tenant;
  /** Aborted when the caller no longer waits. */
  readonly signal: AbortSignal;
}

export interface TextOptions {
  /** The field of the request that the text came in, for errors. */
  readonly param: string;
  /** Whether the tokens that the model expects around a text are added. */
  readonly addSpecialTokens: boolean;
  /** Whether special tokens that are written out in the client's text become tokens. If not, they stay text. */
  readonly parseSpecial: boolean;
  /** Encoding stops once the text is known to have more tokens. */
  readonly mostTokens: number;
}

export interface ChatTextOptions extends TextOptions {
  /** Whether the text ends with the start of an assistant message. */
  readonly addGenerationPrompt: boolean;
  /** As in `RenderOptions`. */
  readonly continueFinalMessage?: boolean;
  readonly variables?: Readonly<Record<string, TemplateVariable>>;
  /** The tools that the model may call. Default: none. */
  readonly tools?: readonly unknown[] | undefined;
  /** Tools that are enforced need no template that shows them. Default: offered. */
  readonly toolsAre?: 'offered' | 'enforced';
}

export type EncodedText =
  | { readonly type: 'tokens'; readonly tokens: Uint32Array }
  /** The text has more tokens than allowed. */
  | { readonly type: 'too-long'; readonly atLeastTokens: number };
