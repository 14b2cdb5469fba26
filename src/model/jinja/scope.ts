import { type JinjaValue, Undefined } from './values.js';

/** The names in a block: its own, and those of the enclosing scopes. */
export class Scope {
  private readonly names = new Map<string, JinjaValue>();

  constructor(private readonly outer: Scope | null) {}

  get(name: string): JinjaValue {
    for (let scope: Scope | null = this; scope !== null; scope = scope.outer) {
      const value = scope.names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: JinjaValue): void {
    this.names.set(name, value);
  }
}
