import type { HostedExport, NodeView } from './node-view.js';
import { describeResources, fits, minus, type Resources, usedShare } from './resources.js';

/** Which node gets an actor or a task. Decided by the caller from what nodes have announced; the node confirms, or refuses. Pure. */

/** The requirements of an actor or a task on its node. */
export interface CodeDemand {
  readonly kind: HostedExport['kind'];
  readonly name: string;
  /** Digest of the module; null: the one version that the fleet has. */
  readonly version: string | null;
  /** Digest of the text of the class or function that the caller has; null if it has only the name. */
  readonly source: string | null;
  readonly resources: Resources;
  readonly near: Near;
  /** Among nodes of equal nearness: the emptiest first, or the fullest that has room. */
  readonly fill: 'spread' | 'pack';
  /** The reserved part of a node from which the resources come; null for the free part. */
  readonly bundle: BundlePlace | null;
}

/** A bundle of a placement group. */
export interface BundlePlace {
  readonly id: string;
  /** Incarnation of its node now; null while it is being reserved again. */
  readonly at: string | null;
  readonly resources: Resources;
}

/** Preferences, which never exclude a node. */
export interface Near {
  /** Incarnations of nodes that are preferred. */
  readonly nodes: readonly string[];
  /** Workers whose nodes are preferred. */
  readonly workers: readonly string[];
}

export const NOWHERE: Near = { nodes: [], workers: [] };

export type NodeRanking =
  /** Best first. All have announced enough free resources. */
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeView[]; readonly hosted: HostedExport }
  /** Nodes host it, but all are too busy now. */
  | { readonly kind: 'busy'; readonly hosted: HostedExport }
  /** No known node hosts it, or none is large enough. */
  | { readonly kind: 'impossible'; readonly why: string }
  /** The demand names several versions at once. */
  | { readonly kind: 'ambiguous'; readonly why: string };

/** Ranks the nodes for a demand. `draw` is a random number from 0 to 1 that breaks ties. */
export function rankNodes(nodes: readonly NodeView[], demand: CodeDemand, draw: number): NodeRanking {
  const hosts = nodes.flatMap((node) => {
    const hosted = node.exports.find((entry) => isWanted(entry, demand));
    return hosted ? [{ node, hosted }] : [];
  });
  const [first] = hosts;
  if (!first) return { kind: 'impossible', why: whyNowhere(nodes, demand) };
  const versions = [...new Set(hosts.map(({ hosted }) => hosted.version))];
  if (versions.length > 1) {
    const names = versions.map((version) => `${demand.name}@${version}`).join(', ');
    return { kind: 'ambiguous', why: `the fleet has several versions, ${names}; name one of them as \`version\`` };
  }
  if (demand.bundle !== null) return inBundle(hosts, demand, demand.bundle);
  const able = hosts.filter(({ node }) => fits(demand.resources, node.total));
  if (able.length === 0) {
    const wanted = describeResources(demand.resources);
    return { kind: 'impossible', why: `no node that hosts ${demand.name} has ${wanted} in all` };
  }
  const free = able.map(({ node }) => node).filter((node) => fits(demand.resources, node.free));
  if (free.length === 0) return { kind: 'busy', hosted: first.hosted };
  return { kind: 'nodes', nodes: ranked(free, demand, draw), hosted: first.hosted };
}

/** The node of the bundle, which alone knows what of it is free. */
function inBundle(
  hosts: readonly { readonly node: NodeView; readonly hosted: HostedExport }[],
  { name, resources }: CodeDemand,
  { at, resources: reserved }: BundlePlace,
): NodeRanking {
  if (!fits(resources, reserved)) {
    const has = describeResources(reserved);
    return { kind: 'impossible', why: `its bundle has ${has}; ${describeResources(resources)} is needed` };
  }
  const found = hosts.find(({ node }) => node.incarnation === at);
  if (found) return { kind: 'nodes', nodes: [found.node], hosted: found.hosted };
  if (at === null) return { kind: 'busy', hosted: hosts[0]!.hosted };
  return { kind: 'impossible', why: `the node of its bundle does not host ${name}, or is gone` };
}

function isWanted(entry: HostedExport, { kind, name, version, source }: CodeDemand): boolean {
  if (entry.kind !== kind || entry.name !== name) return false;
  return (version === null || entry.version === version) && (source === null || entry.source === source);
}

function whyNowhere(nodes: readonly NodeView[], { kind, name, version }: CodeDemand): string {
  const named = nodes.flatMap(({ exports }) => exports.filter((entry) => entry.name === name && entry.kind === kind));
  if (named.length === 0) return `no node hosts the ${kind} ${name}; start one with shoal node --actors FILE`;
  const versions = [...new Set(named.map((entry) => `${name}@${entry.version}`))].join(', ');
  const wanted = version === null ? 'the text of this program' : `version ${version}`;
  return `no node hosts the ${kind} ${name} with ${wanted}; the fleet has ${versions}`;
}

function ranked(free: readonly NodeView[], { resources, near, fill }: CodeDemand, draw: number): NodeView[] {
  const used = (node: NodeView) => usedShare(node.total, minus(node.free, resources));
  const scored = free.map((node, index) => ({
    node,
    far: isNear(node, near) ? 0 : 1,
    used: Math.round(used(node) * 20) * (fill === 'pack' ? -1 : 1),
    // A demand without resources does not change the free amounts.
    jobs: (node.actors + node.tasks) * (fill === 'pack' ? -1 : 1),
    tie: (index / free.length + draw) % 1,
  }));
  return scored
    .toSorted((a, b) => a.far - b.far || a.used - b.used || a.jobs - b.jobs || a.tie - b.tie)
    .map(({ node }) => node);
}

function isNear({ incarnation, worker }: NodeView, near: Near): boolean {
  return near.nodes.includes(incarnation) || (worker !== null && near.workers.includes(worker));
}
