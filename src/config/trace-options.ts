import { OTLP_PROTOCOLS } from '../trace/otlp-address.js';
import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** Options of traces. Their variables follow OpenTelemetry's specification. */

const ROLES = ['up', 'coordinator', 'worker', 'node'] as const satisfies readonly Command[];

export const TRACE_OPTIONS = {
  otlpEndpoint: option({
    flag: 'otlp-endpoint',
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    placeholder: 'URL',
    type: types.url('http', 'https'),
    default: null,
    defaultNote: 'nothing is recorded',
    commands: ROLES,
    help: 'OpenTelemetry collector that gets the traces of requests and of calls of actors, by OTLP: http://HOST:4318, or http://HOST:4317 with --otlp-protocol grpc. OTEL_EXPORTER_OTLP_HEADERS adds headers.',
  }),
  otlpProtocol: option({
    flag: 'otlp-protocol',
    variable: 'OTEL_EXPORTER_OTLP_PROTOCOL',
    placeholder: OTLP_PROTOCOLS.join('|'),
    type: types.choice(...OTLP_PROTOCOLS),
    default: 'http/protobuf',
    commands: ROLES,
    help: 'How the collector is spoken to.',
  }),
  otlpMetrics: option({
    flag: 'otlp-metrics',
    variable: 'SHOAL_OTLP_METRICS',
    placeholder: 'on|off',
    type: types.onOff,
    default: 'off',
    commands: ROLES,
    help: 'Sends metrics to the collector of --otlp-endpoint, too.',
  }),
  otlpService: option({
    flag: 'otlp-service',
    variable: 'OTEL_SERVICE_NAME',
    placeholder: 'NAME',
    type: types.text('1 to 128 characters', 1, 128),
    default: 'shoal',
    commands: ROLES,
    help: 'Name of the fleet in its traces.',
  }),
  otlpSampling: option({
    flag: 'otlp-sampling',
    variable: 'OTEL_TRACES_SAMPLER_ARG',
    placeholder: 'SHARE',
    type: types.fraction,
    default: '1',
    commands: ROLES,
    reload: 'value',
    help: 'Share of the requests that are traced, 0 to 1. A request with the header traceparent is traced if its caller traces it.',
  }),
} as const satisfies OptionTable;
