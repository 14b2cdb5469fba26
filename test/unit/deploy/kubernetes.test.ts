import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../../src/config/duration.js';
import { OPTIONS } from '../../../src/config/options.js';
import { PROCESS_STOP_MS } from '../../../src/limits.js';
import { DRAIN_TIMEOUT_MS } from '../../../workers/worker.js';
import { CHART, deployed, hasHelm, type Manifest, parse, render } from './support/chart.js';

/** The chart and the manifests for Kubernetes, against its schemas and the options of shoal. */

const FLEET = deployed('kubernetes/fleet.yaml');

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext?: Record<string, unknown>;
  readonly resources?: { readonly limits?: { readonly memory?: string } };
}

interface Pod {
  readonly securityContext?: Record<string, unknown>;
  readonly terminationGracePeriodSeconds?: number;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

function podOf({ spec }: Manifest): Pod | null {
  return (spec?.template as { spec?: Pod } | undefined)?.spec ?? null;
}

/** Custom resources: their schemas come with their operators. */
const CUSTOM = ['monitoring.coreos.com/v1', 'keda.sh/v1alpha1'];

/** What the schema of a manifest's kind says against it. Fields that no validator reads do not exist in Kubernetes. */
function faults(manifest: Manifest): string[] {
  if (CUSTOM.includes(manifest.apiVersion)) return [];
  const { apiVersion, kind } = manifest;
  const require = createRequire(import.meta.url);
  const group = apiVersion.includes('/') ? apiVersion : `${apiVersion}`;
  const { [kind]: Model } = require(`kubernetes-models/${group}/${kind}`) as Record<
    string,
    new (
      data: unknown,
    ) => { validate(): void }
  >;
  const unread = new Set<string>();
  const watched = watch(manifest, kind, unread);
  const prototype = Model!.prototype as { validate(): void };
  try {
    prototype.validate.call(Object.setPrototypeOf({ ...(watched as object) }, Model!.prototype));
  } catch (error) {
    return [`${kind} ${manifest.metadata.name}: ${(error as Error).message}`];
  }
  return [...unread].filter((at) => !FREE.test(at)).map((at) => `${at} is not a field of Kubernetes`);
}

/** Maps whose keys people choose. */
const FREE =
  /\.(?:labels|annotations|matchLabels|nodeSelector|limits|requests|data|stringData)\b|^\w+\.(?:apiVersion|kind)$/;

/** A copy that notes the paths of all fields which are never read. */
function watch(value: unknown, at: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => watch(item, `${at}[]`, unread));
  const copy = {};
  for (const [key, entry] of Object.entries(value)) {
    const path = `${at}.${key}`;
    const inner = watch(entry, path, unread);
    unread.add(path);
    Object.defineProperty(copy, key, {
      enumerable: true,
      get: () => {
        unread.delete(path);
        return inner;
      },
    });
  }
  return copy;
}

function check(manifests: readonly Manifest[]): void {
  expect(manifests.flatMap(faults)).toEqual([]);
  for (const manifest of manifests) {
    const pod = podOf(manifest);
    if (pod) checkPod(manifest.metadata.name, pod);
  }
}

function checkPod(name: string, pod: Pod): void {
  expect(pod.securityContext, name).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
    const what = `${name}: ${container.name}`;
    expect(container.securityContext, what).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources?.limits?.memory, what).toBeDefined();
    const [role] = container.args ?? [];
    if (role !== 'worker' && role !== 'coordinator') continue;
    const known = Object.values(OPTIONS).filter(({ commands }) => (commands as readonly string[]).includes(role));
    const set = (container.env ?? [])
      .map((variable) => variable.name)
      .filter((each) => each.startsWith('SHOAL_') && each !== 'SHOAL_CONFIG');
    expect(set.length, what).toBeGreaterThan(10);
    expect(set.filter((each) => !known.some(({ variable }) => variable === each))).toEqual([]);
  }
}

const fleet = parse(readFileSync(FLEET, 'utf8'));

describe('the manifests', () => {
  it('are valid, restricted, and set only options that the roles have', () => {
    expect(fleet.map(({ kind }) => kind).sort()).toEqual([
      ...['Deployment', 'NetworkPolicy', 'NetworkPolicy', 'NetworkPolicy', 'NetworkPolicy'],
      ...['PodDisruptionBudget', 'PodDisruptionBudget', 'Service', 'Service', 'Service', 'StatefulSet', 'StatefulSet'],
    ]);
    check(fleet);
  });

  it('give a worker time for its requests and its blocks', () => {
    const worker = fleet.find(({ metadata, kind }) => kind === 'StatefulSet' && metadata.name === 'shoal-worker')!;
    const pod = podOf(worker)!;
    const handOver = pod.containers[0]!.env!.find(({ name }) => name === OPTIONS.handOver.variable)!.value!;
    const neededMs = DRAIN_TIMEOUT_MS + parseDuration(handOver)! + PROCESS_STOP_MS;
    expect(pod.terminationGracePeriodSeconds! * 1_000).toBeGreaterThan(neededMs);
  });

  it('find fields that Kubernetes does not have', () => {
    const [service] = fleet.filter(({ kind }) => kind === 'Service');
    expect(faults({ ...service!, spec: { ...service!.spec, sellector: {} } })).toEqual([
      'Service.spec.sellector is not a field of Kubernetes',
    ]);
    expect(faults({ ...service!, spec: { ...service!.spec, ports: 'all' } })).toHaveLength(1);
  });

  it('are accompanied by fresh secrets', () => {
    const secrets = () => parse(spawnSync('sh', [deployed('kubernetes/secrets.sh')], { encoding: 'utf8' }).stdout)[0]!;
    const keys = (secrets() as unknown as { stringData: Record<string, string> }).stringData;
    expect(new Set(Object.values(keys)).size).toBe(6);
    expect(Object.values(keys).every((value) => /^[0-9a-f]{64}$/.test(value))).toBe(true);
    expect(secrets()).not.toEqual(secrets());
    const [mounted] = fleet
      .flatMap((manifest) => (manifest.metadata.name === 'shoal-coordinator' ? [JSON.stringify(manifest)] : []))
      .map((text) => [...text.matchAll(/"key":"([\w-]+)"/g)].map((match) => match[1]!));
    expect(mounted!.filter((key) => !(key in keys))).toEqual([]);
    // The chart of NATS gets the users' passwords from there, by the names that their configuration has.
    const { container } = parse(readFileSync(deployed('kubernetes/nats-values.yaml'), 'utf8'))[0]! as unknown as {
      container: { env: Record<string, { valueFrom: { secretKeyRef: { name: string; key: string } } }> };
    };
    const passwords = Object.entries(container.env).map(
      ([name, { valueFrom }]) => [name, valueFrom.secretKeyRef] as const,
    );
    const script = readFileSync(deployed('nats-conf.sh'), 'utf8');
    const named = [...script.matchAll(/echo "(\w+_PASSWORD):/g)].map((match) => match[1]);
    expect(passwords.map(([name]) => name).sort()).toEqual(named.sort());
    for (const [, { name, key }] of passwords) expect([name, key in keys]).toEqual(['shoal', true]);
  });
});

describe('the pages', () => {
  it('run nothing in a pod that the image does not have', () => {
    const names = readdirSync(deployed('../docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.md'),
    );
    const pages = names.map((name) => readFileSync(deployed(`../docs/${name}`), 'utf8')).join('\n');
    const programs = [...pages.matchAll(/^.*kubectl [^\n|]*\bexec\b[^\n|]* -- (?:env \S+ )?(\S+)/gm)].map(
      (match) => match[1]!,
    );
    expect(programs.length).toBeGreaterThan(1);
    // A slim image of Debian has no kill but that of its shell.
    expect(programs.filter((program) => !['sh', 'node', 'sleep'].includes(program))).toEqual([]);
  });
});

describe.skipIf(!hasHelm)('the chart, by helm', () => {
  const MATRIX: readonly (readonly string[])[] = [
    [],
    ['worker.gpu.count=1', 'worker.device=cuda', 'worker.nodeSelector.gpu=h200', 'worker.tolerations[0].key=gpu'],
    ['model.source=pvc', 'model.claim=models', 'model.dir=/models/mine', 'worker.disk.enabled=true'],
    ['model.source=hub', 'model.id=org/name@main', 'model.tokenSecret=hub', 'model.servedName=mine'],
    ['nats.enabled=false', 'nats.url=nats://nats.infra:4333', 'secrets.existing=mine'],
    ['config.log-level=debug', 'networkPolicy.clients=null', 'networkPolicy.monitoring=null'],
    ['coordinator.insecure=true', 'networkPolicy.enabled=false', 'podDisruptionBudget.enabled=false'],
    ['coordinator.tlsSecret=tls', 'coordinator.ingress.enabled=true', 'coordinator.ingress.host=api.example.com'],
    ['autoscaling.kind=hpa', 'autoscaling.hitRatePercent=40'],
    ['tracing.endpoint=http://collector.observability:4318', 'tracing.metrics=true', 'tracing.headersSecret=otlp'],
    ['tracing.endpoint=http://collector.observability:4317', 'tracing.protocol=grpc'],
    ['tracing.endpoint=https://otlp.example.com/v1', 'tracing.collector[0].namespaceSelector.matchLabels.name=otel'],
    ['autoscaling.kind=hpa', 'autoscaling.by=recommendation'],
    ['autoscaling.kind=keda', 'autoscaling.by=recommendation', 'worker.handOverSeconds=900'],
    ['autoscaling.kind=keda', 'autoscaling.hitRatePercent=40', 'fleet.context=8192', 'worker.hostCacheBytes=4GiB'],
    ['metrics.serviceMonitor.enabled=true', 'metrics.prometheusRule.enabled=true', 'metrics.dashboard.enabled=true'],
  ];

  it('lints', () => {
    const { status, stdout } = spawnSync('helm', ['lint', '--strict', CHART], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
  });

  it.each(MATRIX.map((values) => [values.join(' ') || 'the defaults', values] as const))('renders %s', (_, values) => {
    check(render(...values));
  });

  it('refuses wrong values, and says which', () => {
    expect(() => render('worker.replicas=none')).toThrow(/worker[./]replicas/);
    expect(() => render('worker.replicass=3')).toThrow('replicass');
    expect(() => render('nats.enabled=false')).toThrow('nats.url: must be set');
  });

  it('is what fleet.yaml was rendered from', () => {
    expect(render('secrets.existing=shoal')).toEqual(fleet);
  });
});
