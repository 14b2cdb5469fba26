/** Puts a text on the clipboard. Resolves with whether it is there: the reader may have forbidden it. */
export async function copyText(text: string): Promise<boolean> {
  // Browsers have no `clipboard` for a page that came over plain HTTP from another machine.
  if (navigator.clipboard !== undefined) {
    const written = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
    if (written) return true;
  }
  const before = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'visually-hidden';
  document.body.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return copied;
}
