import type { Call } from '../../actors/protocol.js';
import { PASSING_TRACER } from '../../trace/span.js';
import type { CallScope } from '../context.js';
import type { InstanceHost, InstanceOptions } from './instance.js';

/** The call as the constructor of an actor sees it, its `restore`, and the method with which it gives back what it holds. */
export function lifeScope(
  { fleet, handleOf, lines }: InstanceHost,
  { spec, owner, epoch, grant: { gpuIds } }: Pick<InstanceOptions, 'spec' | 'owner' | 'epoch' | 'grant'>,
  { signal, trace: traceparent }: Pick<Call, 'signal' | 'trace'>,
): CallScope {
  const self = handleOf(spec, owner);
  const own = { callId: spec.id, attempt: epoch, gpuIds, deadlineMs: null, traceparent };
  return {
    isOver: false,
    current: { fleet, self, signal, ...own },
    trace: { id: spec.id, attempt: epoch, chain: [spec.id] },
    span: PASSING_TRACER.start(spec.class, traceparent),
    printer: { print: (level, text) => lines.add(spec, level, text) },
  };
}
