import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { CHART, deployed, hasHelm, type Manifest, parse, render, renderAs } from './support/chart.js';

/** What the chart makes of values where a mistake would open, cut off or empty a fleet. */

interface Rule {
  readonly from?: unknown;
  readonly to?: unknown;
  readonly ports?: readonly { readonly port: string | number }[];
}

interface Policy {
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  return manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)!;
}

const policy = (manifests: readonly Manifest[], name: string) =>
  find(manifests, 'NetworkPolicy', `shoal-${name}`).spec as unknown as Policy;

const renderJson = (...values: readonly string[]) =>
  renderAs('shoal', ...values.flatMap((value) => ['--set-json', value]));

/** The ports that a role may reach anywhere. */
const openPorts = (manifests: readonly Manifest[], role: string) =>
  policy(manifests, role).egress!.flatMap(({ to, ports }) => (to === undefined ? ports!.map(({ port }) => port) : []));

/** The variables of a role's container. */
function variables(manifests: readonly Manifest[], kind: string, name: string): Record<string, string | undefined> {
  const { template } = find(manifests, kind, name).spec as {
    template: { spec: { containers: readonly { env: readonly { name: string; value?: string }[] }[] } };
  };
  return Object.fromEntries(template.spec.containers[0]!.env.map((variable) => [variable.name, variable.value]));
}

/** What an API server has: discovery, and one StatefulSet. */
function answerOf(path: string, worker: unknown): unknown {
  const version = (groupVersion: string) => ({ groupVersion, version: groupVersion.split('/')[1] });
  const resource = (name: string, kind: string) => ({ name, kind, namespaced: true, verbs: ['get'], singularName: '' });
  if (path === '/version') return { major: '1', minor: '30', gitVersion: 'v1.30.0' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') {
    const apps = { name: 'apps', versions: [version('apps/v1')], preferredVersion: version('apps/v1') };
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: [apps] };
  }
  if (path === '/api/v1')
    return { kind: 'APIResourceList', groupVersion: 'v1', resources: [resource('secrets', 'Secret')] };
  if (path === '/apis/apps/v1')
    return {
      kind: 'APIResourceList',
      groupVersion: 'apps/v1',
      resources: [resource('statefulsets', 'StatefulSet')],
    };
  return path === '/apis/apps/v1/namespaces/shoal/statefulsets/shoal-worker' ? worker : null;
}

/** Renders the chart as for a release whose cluster has this StatefulSet of workers. Gives the StatefulSet of then. */
async function upgrade(live: unknown, ...values: readonly string[]): Promise<Manifest> {
  const server = createServer((request, response) => {
    const found = answerOf(new URL(request.url!, 'http://a').pathname, live);
    const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
    response.writeHead(found === null ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(found ?? missing));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const flags = ['--dry-run=server', '--kube-apiserver', address, ...values.flatMap((value) => ['--set', value])];
  const { stdout } = await promisify(execFile)(
    'helm',
    ['template', 'shoal', CHART, '-n', 'shoal', '--kube-version', '1.27', ...flags],
    {
      maxBuffer: 64 * 2 ** 20,
    },
  );
  return find(parse(stdout), 'StatefulSet', 'shoal-worker');
}

describe.skipIf(!hasHelm)('the network policies of the chart', () => {
  it('admit nobody where nobody is named', () => {
    for (const none of ['[]', 'null']) {
      const alone = renderJson(`networkPolicy.clients=${none}`, `networkPolicy.monitoring=${none}`);
      expect(policy(alone, 'coordinator').policyTypes).toContain('Ingress');
      expect(policy(alone, 'coordinator').ingress ?? []).toEqual([]);
      expect(policy(alone, 'worker').ingress!.flatMap(({ ports }) => ports!.map(({ port }) => port))).toEqual([
        'peers',
      ]);
    }
    // In Kubernetes, no peers at all are all peers.
    const some = [render(), renderJson('networkPolicy.clients=[]'), renderJson('networkPolicy.monitoring=[]')].flat();
    const policies = some.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec as unknown as Policy);
    const sources = policies.flatMap(({ ingress = [] }) => ingress.map(({ from }) => from));
    expect(sources.length).toBeGreaterThan(8);
    for (const from of sources) expect((from as unknown[]).length).toBeGreaterThan(0);
  });

  it.each([
    ['nats://a', [4222]],
    ['nats://a:4333/', [4333]],
    ['tls://a:4443\\,tls://b:4444\\,nats://c:4443', [4443, 4444]],
    ['nats://user:1234@a:4222\\,nats://[::1]:4223', [4222, 4223]],
  ])('let members reach the NATS servers %s', (url, ports) => {
    const manifests = render('nats.enabled=false', `nats.url=${url}`);
    expect(openPorts(manifests, 'coordinator')).toEqual(ports);
    expect(openPorts(manifests, 'worker')).toEqual(ports);
  });

  it('let coordinators reach the keys of an issuer of tokens, and members what is named', () => {
    const jwks = (url: string) => openPorts(render(`coordinator.env.SHOAL_JWT_JWKS=${url}`), 'coordinator');
    expect(jwks('https://id.example.com/keys')).toEqual([443]);
    expect(jwks('http://id.example.com:8080/keys')).toEqual([8080]);
    expect(jwks('/run/keys.json')).toEqual([]);
    const more = render('networkPolicy.egress[0].ports[0].port=8443', 'networkPolicy.egress[0].ports[0].protocol=TCP');
    expect(openPorts(more, 'deny')).toEqual([53, 53, 8443]);
  });
});

describe.skipIf(!hasHelm)('autoscaling by the chart', () => {
  const replicas = async (...upgraded: Parameters<typeof upgrade>) =>
    ((await upgrade(...upgraded)).spec as { replicas?: number }).replicas;

  it('keeps the number of workers when it takes over', async () => {
    const live = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'shoal-worker' } };
    expect(await replicas(null)).toBe(3);
    const seven = { ...live, spec: { replicas: 7 } };
    expect(await replicas(seven, 'autoscaling.kind=hpa')).toBe(7);
    expect(await replicas(seven, 'autoscaling.kind=keda')).toBe(7);
    expect(await replicas(seven)).toBe(3);
  });

  it('leaves the number to the autoscaler from the start, so that a rollback does not change it', async () => {
    const { metadata, spec } = await upgrade(null, 'autoscaling.kind=hpa');
    expect(spec).not.toHaveProperty('replicas');
    const started = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, spec: { replicas: 5 } };
    expect(await replicas(started, 'autoscaling.kind=hpa')).toBeUndefined();
    expect(await replicas(started)).toBe(3);
  });

  it.each([
    [3, 120],
    [120, 150],
    [900, 930],
    [1_770, 1_800],
  ])('lets the next worker leave when one with %i s is gone', (handOver, period) => {
    const policies = [{ type: 'Pods', value: 1, periodSeconds: period }];
    const down = { stabilizationWindowSeconds: 600, policies };
    const values = [`worker.handOverSeconds=${handOver}`, 'autoscaling.by=recommendation'];
    const hpa = render('autoscaling.kind=hpa', ...values);
    expect(find(hpa, 'HorizontalPodAutoscaler', 'shoal-worker').spec).toMatchObject({ behavior: { scaleDown: down } });
    const keda = render('autoscaling.kind=keda', ...values);
    expect(find(keda, 'ScaledObject', 'shoal-worker').spec).toMatchObject({
      advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: down } } },
    });
  });

  it('asks for the recommended number by KEDA as by the rule of prometheus-adapter', () => {
    const { triggers } = find(
      render('autoscaling.kind=keda', 'autoscaling.by=recommendation'),
      'ScaledObject',
      'shoal-worker',
    ).spec as { triggers: readonly { metadata: { query: string } }[] };
    const bare = (query: string) =>
      query
        .replaceAll(/\{[^}]*\}/g, '')
        .replaceAll(/\s+/g, ' ')
        .trim();
    const page = readFileSync(deployed('../docs/KUBERNETES.md'), 'utf8');
    const rule = /metricsQuery: >-\n( +clamp_min[\s\S]*?)```/
      .exec(page)![1]!
      .replaceAll('<<.Series>>', 'shoal_fleet_workers_wanted');
    const plain = rule.replaceAll(/\{[^}]*\}/g, '').replaceAll(' by (<<.GroupBy>>)', '');
    expect(bare(triggers[0]!.metadata.query)).toBe(bare(plain));
  });
});

describe.skipIf(!hasHelm)('the alerts of a release', () => {
  const spec = (...values: readonly string[]) =>
    find(render('metrics.prometheusRule.enabled=true', ...values), 'PrometheusRule', 'shoal').spec as {
      groups: readonly { rules: readonly { expr: string; annotations: Record<string, string> }[] }[];
    };

  it('are of its own fleet, whose label its processes have', () => {
    const rules = spec().groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(15);
    for (const { expr } of rules) {
      for (const [selector] of expr.matchAll(/\{[^}]*\}/g)) expect(selector).toContain('fleet="shoal/shoal"');
      expect(expr).not.toContain('fleet!=');
    }
    const monitors = render('metrics.serviceMonitor.enabled=true').filter(({ kind }) => kind === 'ServiceMonitor');
    expect(monitors).toHaveLength(2);
    for (const { spec } of monitors)
      expect(JSON.stringify(spec)).toContain('{"targetLabel":"fleet","replacement":"shoal/shoal"}');
  });

  it('link to where the runbooks are published', () => {
    const urls = (...values: readonly string[]) =>
      spec(...values).groups.flatMap((group) => group.rules.map(({ annotations }) => annotations.runbook_url!));
    for (const url of urls()) expect(URL.canParse(url), url).toBe(true);
    const own = urls('metrics.prometheusRule.runbooks=https://docs.example.com/runbooks/ALERT.html');
    for (const url of own) expect(url).toMatch(/^https:\/\/docs\.example\.com\/runbooks\/Shoal\w+\.html$/);
  });
});

describe.skipIf(!hasHelm)('values', () => {
  it.each([
    [['autoscaling.kind=hpa', 'autoscaling.minReplicas=9', 'autoscaling.maxReplicas=3'], 'autoscaling.minReplicas: '],
    [['autoscaling.kind=keda', 'worker.handOverSeconds=1800'], 'worker.handOverSeconds: must be at most 1770'],
    [['worker.disk.enabled=true', 'worker.disk.cacheBytes=100GiB'], 'worker.disk.cacheBytes: must fit'],
    [['worker.disk.enabled=true', 'worker.disk.cacheBytes=22GB'], 'worker.disk.cacheBytes: must fit'],
    [['fleet.replicas=5'], 'fleet.replicas: must be at most worker.replicas (3)'],
    [
      ['fleet.replicas=3', 'autoscaling.kind=hpa', 'autoscaling.minReplicas=2'],
      'fleet.replicas: must be at most autoscaling.minReplicas (2)',
    ],
    [['worker.cacheBytes=2GiB'], 'worker.cacheBytes: must be less than worker.resources.limits.memory (2Gi)'],
  ])('that contradict each other are refused: %j', (values, why) => {
    expect(() => render(...values)).toThrow(why);
  });

  it('that fit are taken, whatever their units', () => {
    for (const size of ['20GiB', '21GB', '21474836480B', '0.5KiB', ''])
      render('worker.disk.enabled=true', `worker.disk.cacheBytes=${size}`);
    render('worker.replicas=1', 'fleet.replicas=1');
  });

  it('of a file of options reach every member, without a variable that wins over them', () => {
    const traced = 'tracing.endpoint=http://collector:4318';
    const manifests = render('config.log-level=debug', 'config.otlp-sampling=0.01', traced);
    const { data } = find(manifests, 'ConfigMap', 'shoal-config') as unknown as { data: Record<string, string> };
    expect(parseYaml(data['shoal.config.yaml']!)).toEqual({ 'log-level': 'debug', 'otlp-sampling': '0.01' });
    for (const [kind, name] of [
      ['Deployment', 'shoal-coordinator'],
      ['StatefulSet', 'shoal-worker'],
    ] as const) {
      const set = variables(manifests, kind, name);
      expect(set).toMatchObject({ SHOAL_CONFIG: '/etc/shoal/shoal.config.yaml' });
      expect(set).not.toHaveProperty('SHOAL_LOG_LEVEL');
      expect(set).not.toHaveProperty('OTEL_TRACES_SAMPLER_ARG');
      expect(JSON.stringify(find(manifests, kind, name))).toContain('{"name":"config","mountPath":"/etc/shoal"');
    }
    expect(find(render(), 'ConfigMap', 'shoal-config')).toBeUndefined();
  });

  it('for two releases behind one route let both answer the same requests', () => {
    const { spec } = parseYaml(readFileSync(deployed('kubernetes/route.yaml'), 'utf8')) as {
      spec: { hostnames: string[]; rules: { backendRefs: { name: string }[] }[] };
    };
    const releases = spec.rules[0]!.backendRefs.map(({ name }) => name);
    expect(releases).toEqual(['shoal-blue', 'shoal-green']);
    const secrets = releases.map((release) => {
      const manifests = renderAs(release, '-f', deployed('kubernetes/route-values.yaml'));
      expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
      const hosts = variables(manifests, 'Deployment', `${release}-coordinator`).SHOAL_ALLOWED_HOSTS!.split(',');
      expect(hosts).toEqual(expect.arrayContaining(spec.hostnames));
      const { ingress } = find(manifests, 'NetworkPolicy', `${release}-coordinator`).spec as unknown as Policy;
      expect(JSON.stringify(ingress)).toContain('gateway');
      const pods = JSON.stringify(find(manifests, 'Deployment', `${release}-coordinator`));
      return /"secretName":"([\w-]+)"/.exec(pods)![1];
    });
    expect(secrets).toEqual(['shoal-common', 'shoal-common']);
  });
});
