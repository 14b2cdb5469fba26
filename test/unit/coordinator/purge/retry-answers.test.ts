import { expect, it } from 'vitest';
import { answersBehavior, RetryAnswers } from '../../../../coordinator/purge/retry-answers.js';
import type { SaltGroup } from '../../../../src/core/purge-selector.js';
import { ownerDigest } from '../../../../src/core/salt.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { ANSWERS_ACTOR, AnswersProtocol } from '../../../../src/protocol/answers.js';
import { SimulatedWorld } from '../../actors/world.js';

const GROUP: SaltGroup = { by: 'owner', digest: ownerDigest('tenant/acme') };

it('every coordinator forgets the answers of a purge, and one that fails or is gone does not hold it up', async () => {
  const world = new SimulatedWorld();
  const asked: SaltGroup[] = [];
  const forget = (count: number) => (group: SaltGroup) => {
    asked.push(group);
    return count;
  };
  await world.a.spawn(AnswersProtocol, ANSWERS_ACTOR, () => answersBehavior(forget(2)));
  await world.b.spawn(AnswersProtocol, ANSWERS_ACTOR, () => answersBehavior(forget(5)));
  const answers = new RetryAnswers(world.a, () => 2, SILENT_LOG);
  const all = answers.forget(GROUP);
  await world.pass(0);
  expect(await all).toBe(7);
  expect(asked).toEqual([GROUP, GROUP]);
  await world.b.stop();
  const left = answers.forget(GROUP);
  await world.pass(5_000);
  expect(await left).toBe(2);
  await world.close();
});
