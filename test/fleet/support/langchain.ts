import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';

export { HumanMessage, SystemMessage, ToolMessage, tool };

/** LangChain's model of a fleet. */
export function langchainFor(url: string, fields: { readonly useResponsesApi?: boolean } = {}) {
  const configuration = { baseURL: `${url}/v1` };
  return new ChatOpenAI({ model: 'recall', apiKey: 'none', temperature: 0, maxRetries: 0, configuration, ...fields });
}
