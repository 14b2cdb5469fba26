/** What the counts of workers mean to a reader with the key of a user. */
export function RoundedCounts() {
  return (
    <p class="hint">
      The counts of a user are rounded, and up to a minute old: 0 blocks are fewer than 64, 0 requests fewer than 4.
    </p>
  );
}
