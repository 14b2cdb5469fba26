import type { RequestName } from './request-name.js';

/** The requests that have run well, and the prompts with any such request. */

const KEPT = 16_384;

export class Proven {
  private readonly names = new Set<string>();

  /** @param name of a request or a prompt */
  has(name: string): boolean {
    return this.names.has(name);
  }

  /** The unit that groups copies of a request: its prompt until any request with it has run well, so that variants count too; then the request. */
  unitOf({ prompt, request }: RequestName): string {
    return this.names.has(prompt) ? request : prompt;
  }

  /** Returns false if the request was known. */
  add({ prompt, request }: RequestName): boolean {
    if (this.names.has(request) && this.names.has(prompt)) return false;
    for (const name of [prompt, request]) {
      this.names.add(name);
      if (this.names.size > KEPT) this.names.delete(this.names.values().next().value!);
    }
    return true;
  }

  forget(name: string): void {
    this.names.delete(name);
  }
}
