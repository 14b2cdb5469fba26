import type { RequestMessage } from '../messages.js';

/** Makes the messages of a chat from the items of other APIs. */
export class Conversation {
  readonly messages: RequestMessage[] = [];

  addText(role: 'system' | 'user' | 'assistant', text: string): void {
    const last = this.messages.at(-1);
    if (role === 'assistant' && last?.role === 'assistant' && last.content === null && last.toolCalls === undefined)
      this.messages[this.messages.length - 1] = { ...last, content: text };
    else this.messages.push({ role, name: undefined, content: text });
  }

  /** Adds a line to the last message. False if that is no text of this role. */
  continueText(role: 'user' | 'assistant', text: string): boolean {
    const last = this.messages.at(-1);
    if (last?.role !== role || last.toolCalls !== undefined || typeof last.content !== 'string') return false;
    this.messages[this.messages.length - 1] = { ...last, content: `${last.content}\n${text}` };
    return true;
  }

  /** The assistant's reasoning before its next text or call. */
  addReasoning(reasoning: string): void {
    if (reasoning !== '') this.messages.push({ role: 'assistant', name: undefined, content: null, reasoning });
  }

  /** @param json the arguments */
  addCall(id: string, name: string, json: string): void {
    const call = { id, type: 'function' as const, function: { name, arguments: json } };
    const last = this.messages.at(-1);
    if (last?.role !== 'assistant')
      this.messages.push({ role: 'assistant', name: undefined, content: null, toolCalls: [call] });
    else this.messages[this.messages.length - 1] = { ...last, toolCalls: [...(last.toolCalls ?? []), call] };
  }

  addResult(id: string, text: string): void {
    this.messages.push({ role: 'tool', name: undefined, content: text, toolCallId: id });
  }
}
