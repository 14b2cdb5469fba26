import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';

/** The process that spans and metrics come from. */
export interface OtlpSource {
  /** Name of the fleet. */
  readonly service: string;
  readonly role: 'coordinator' | 'worker' | 'node';
  /** Of the process, unique in the fleet. */
  readonly id: string;
  readonly version: string;
}

export type { Resource };

/** Describes a process by the names of OpenTelemetry's semantic conventions. */
export function otlpResource({ service, role, id, version }: OtlpSource): Resource {
  return resourceFromAttributes({
    'service.name': service,
    'service.version': version,
    'service.instance.id': id,
    'shoal.role': role,
  });
}
