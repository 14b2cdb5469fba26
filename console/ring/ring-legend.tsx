import { SourceLegend } from '../parts/source-bar.js';

/** The meaning of the marks on the ring. */
export function RingLegend({ segments }: { readonly segments: boolean }) {
  return (
    <>
      <SourceLegend />
      {segments && (
        <ul class="legend" aria-label="Marks on the ring">
          <li>
            <span class="copy home" aria-hidden="true" />
            segment at a home
          </li>
          <li>
            <span class="copy guest" aria-hidden="true" />
            at a guest
          </li>
          <li>
            <span class="copy lacking" aria-hidden="true" />a home still lacks it
          </li>
          <li>larger: found more often</li>
          <li>
            <span class="copy moving" aria-hidden="true" />
            copies on their way
          </li>
        </ul>
      )}
    </>
  );
}
