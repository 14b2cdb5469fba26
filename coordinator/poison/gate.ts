/** Where a prompt may run now. `avoid` are the workers that are reserved for suspects. */
export type Gate =
  | { readonly kind: 'free'; readonly proven: boolean; readonly avoid: ReadonlySet<string> }
  /** Wait for `changed`. */
  | { readonly kind: 'wait'; readonly why: 'verdict' | 'probation' | 'copy'; readonly avoid: ReadonlySet<string> }
  /** Alone on its worker, which it reserves first. */
  | { readonly kind: 'probation'; readonly avoid: ReadonlySet<string> };
