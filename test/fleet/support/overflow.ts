import type { Page } from 'playwright-core';

/** Finds texts that leave their card or the page at the right, where nobody can read them. */
const FIND = `(() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) {
    if (text.data.trim() === '' || text.parentElement.closest('svg, .visually-hidden, option, script')) continue;
    let box = text.parentElement;
    while (box !== document.body && getComputedStyle(box).overflowX === 'visible' && !box.classList.contains('card')) box = box.parentElement;
    // What scrolls, or ends in dots, is meant to be longer than its place.
    if (getComputedStyle(box).overflowX !== 'visible') continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    if (range.getBoundingClientRect().right > box.getBoundingClientRect().right) found.push(text.data.slice(0, 80));
  }
  return found;
})()`;

export function overflowingTexts(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(FIND);
}
