/** Where a prompt may run now. */
export type Gate =
  | { readonly kind: 'free'; readonly proven: boolean }
  /** Wait for `changed`. */
  | { readonly kind: 'wait'; readonly why: 'verdict' | 'probation' | 'copy' }
  /** Not on the workers of `avoid`, which run other suspects. */
  | { readonly kind: 'probation'; readonly avoid: ReadonlySet<string> };
