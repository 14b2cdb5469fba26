/** Keeps the keyboard where the reader was, when the element with the focus is disabled or goes away. */

/** What can hold the focus for an element that cannot. */
const PLACES = '.card, main';

export function keepFocus(page: Document): void {
  /** The element that the reader was at; null after a click, which says where the reader is by itself. */
  let wanted: HTMLElement | null = null;
  /** The places around it, innermost first. */
  let places: HTMLElement[] = [];
  /** The place that has the focus instead. */
  let refuge: HTMLElement | null = null;
  page.addEventListener('focusin', ({ target }) => {
    if (!(target instanceof HTMLElement) || target === refuge) return;
    wanted = target;
    refuge = null;
    places = [];
    for (let place = target.closest<HTMLElement>(PLACES); place; place = place.parentElement?.closest(PLACES) ?? null)
      places.push(place);
  });
  page.addEventListener('pointerdown', () => {
    wanted = null;
    refuge = null;
  });
  const look = () => {
    const active = page.activeElement;
    const unplaced = active === null || active === page.body || active === wanted || active === refuge;
    if (wanted === null || !unplaced) return;
    if (wanted.isConnected && !wanted.matches(':disabled')) {
      if (refuge !== null) wanted.focus({ preventScroll: true });
      return;
    }
    if (refuge?.isConnected) return;
    refuge = places.find((place) => place.isConnected) ?? null;
    if (refuge === null) return;
    if (!refuge.hasAttribute('tabindex')) refuge.tabIndex = -1;
    refuge.focus({ preventScroll: true });
  };
  new MutationObserver(look).observe(page.body, {
    ...{ subtree: true, childList: true, attributes: true, attributeFilter: ['disabled'] },
  });
}
