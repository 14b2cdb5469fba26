import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** A text with its own lines, such as a program. A long one scrolls by itself, also by keyboard. */

interface ScrolledTextProps {
  /** Its name for those who cannot see it. */
  readonly label: string;
  readonly class?: string;
  /** Selects the part in view at first; the beginning by default. */
  readonly start?: string;
  readonly children: ComponentChildren;
}

/** Lines above the part in view. */
const LEAD_PX = 40;

export function ScrolledText({ label, class: more, start, children }: ScrolledTextProps) {
  const text = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const part = start === undefined ? null : text.current?.querySelector<HTMLElement>(start);
    if (!part || !text.current) return;
    const [outer, inner] = [text.current.getBoundingClientRect(), part.getClientRects()[0]];
    if (inner !== undefined) text.current.scrollTop += inner.top - outer.top - LEAD_PX;
  }, [start]);
  return (
    // biome-ignore lint/a11y/useSemanticElements: its lines are no fields of a form.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling text must be reachable by keyboard.
    <pre class={more} ref={text} role="group" aria-label={label} tabIndex={0}>
      {children}
    </pre>
  );
}
