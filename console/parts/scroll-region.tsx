import type { ComponentChildren } from 'preact';

interface ScrollRegionProps {
  /** Its name for those who cannot see it. */
  readonly label: string;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** A part of the page that scrolls by itself, also by keyboard. */
export function ScrollRegion({ label, class: more = '', children }: ScrollRegionProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard.
    <section class={`scroll ${more}`.trim()} aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
