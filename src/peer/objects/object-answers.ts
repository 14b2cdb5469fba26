import { objectName } from '../../objects/object-name.js';
import type { ObjectHost } from '../../objects/object-node.js';
import type { Question } from './object-messages.js';

/** Answers a question about objects. Rejects as the call of the host does. */
export async function answerTo(question: Question, host: ObjectHost, signal: AbortSignal): Promise<unknown> {
  switch (question.op) {
    case 'look':
      return host.look(namesOf(question.names), signal);
    case 'versions':
      return host.versions(namesOf(question.names), signal);
    case 'share':
      return host.share(objectName(question.space, question.key), question.host, signal);
    case 'remove':
      return host.remove(objectName(question.space, question.key), { condition: question.condition }, signal);
    case 'retime':
      return host.retime(objectName(question.space, question.key), question.expiry, question.condition, signal);
    case 'list':
      return host.list(question.space, question.from, question.least, signal);
    case 'count':
      return host.count(question.space, signal);
    case 'use':
      return host.use(signal);
    case 'flush':
      await host.flush(question.space, signal);
      return null;
    case 'wanted':
      return host.wanted(question.held, signal);
    case 'owes':
      return host.owes(question.home, question.epoch, signal);
    case 'differing': {
      const { op: _, home, ...own } = question;
      return host.differing(home, own, signal);
    }
    case 'deleted': {
      const { space, key, version } = question;
      return host.take({ type: 'deleted', name: objectName(space, key), version }, signal);
    }
    case 'retimed': {
      const { space, key, of, info } = question;
      return host.take({ type: 'retimed', name: objectName(space, key), of, info }, signal);
    }
  }
}

function namesOf(names: readonly { readonly space: string; readonly key: Buffer }[]) {
  return names.map(({ space, key }) => objectName(space, key));
}
