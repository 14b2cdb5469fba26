import { execFileSync } from 'node:child_process';

/** Networks so far in this process: the kernel removes a closed one some time later. */
let networks = 0;

/**
 * Network namespaces on a bridge, each with a link that can be taken down. The bridge has a separate namespace with an empty firewall: the
 * machine's firewall may drop traffic between namespaces, as Docker's does.
 */
export class SplitNetwork {
  /** The address of this process on the bridge. */
  readonly address: string;
  private readonly prefix = `sh${process.pid.toString(36)}-${++networks}`;
  private readonly hub = `${this.prefix}-hub`;
  private readonly subnet = `10.213.${(process.pid + networks) % 256}`;
  private readonly namespaces: string[] = [];

  /** Throws if this machine does not allow it: that takes root, and `ip` of iproute2. */
  constructor() {
    this.address = `${this.subnet}.1`;
    ip('netns', 'add', this.hub);
    try {
      ip('-n', this.hub, 'link', 'add', 'name', 'bridge', 'type', 'bridge');
      ip('-n', this.hub, 'link', 'set', 'bridge', 'up');
      ip('link', 'add', this.prefix, 'type', 'veth', 'peer', 'name', 'outside', 'netns', this.hub);
      ip('-n', this.hub, 'link', 'set', 'outside', 'master', 'bridge');
      ip('-n', this.hub, 'link', 'set', 'outside', 'up');
      ip('addr', 'add', `${this.address}/24`, 'dev', this.prefix);
      ip('link', 'set', this.prefix, 'up');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Why this machine allows no networks; null if it does. */
  static unavailable(): string | null {
    try {
      const network = new SplitNetwork();
      try {
        network.add();
      } finally {
        network.close();
      }
      return null;
    } catch (error) {
      return `network namespaces are not available here: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Adds a namespace. */
  add(): Namespace {
    const number = this.namespaces.length + 2;
    const name = `${this.prefix}-${number}`;
    ip('netns', 'add', name);
    try {
      ip('-n', this.hub, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    } catch (error) {
      ip('netns', 'del', name);
      throw error;
    }
    this.namespaces.push(name);
    ip('-n', this.hub, 'link', 'set', name, 'master', 'bridge');
    ip('-n', this.hub, 'link', 'set', name, 'up');
    const address = `${this.subnet}.${number}`;
    ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    return {
      address,
      inside: ['ip', 'netns', 'exec', name],
      // The bridge's end, so that the processes inside keep their addresses and routes, and see only silence.
      cut: () => ip('-n', this.hub, 'link', 'set', name, 'down'),
      heal: () => ip('-n', this.hub, 'link', 'set', name, 'up'),
    };
  }

  close(): void {
    for (const name of this.namespaces.splice(0)) {
      ip('-n', this.hub, 'link', 'del', name);
      ip('netns', 'del', name);
    }
    // With the hub go the bridge and both ends of this process's link.
    ip('netns', 'del', this.hub);
  }
}

export interface Namespace {
  readonly address: string;
  /** Begins a command that runs in the namespace. */
  readonly inside: readonly string[];
  cut(): void;
  heal(): void;
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}
