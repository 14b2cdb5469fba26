import { Engine } from '../../src/engine/engine.js';
import type { GenerateEvent, GenerateRequest } from '../../src/protocol/generate.js';
import { unpackTokens } from '../../src/protocol/generate.js';
import { isPoison } from './poison.js';

/**
 * Preloaded into the processes of a fleet (`node --import`): a worker that runs a poisonous prompt dies at its first token, as from a crash in
 * native code.
 */
const generate = Engine.prototype.generate;

Engine.prototype.generate = function (request: GenerateRequest, signal: AbortSignal) {
  const events = generate.call(this, request, signal);
  return isPoison(unpackTokens(request.tokens)) ? crashing(events) : events;
};

async function* crashing(events: AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
  for await (const event of events) {
    if (event.type === 'tokens') process.kill(process.pid, 'SIGKILL');
    yield event;
  }
}
