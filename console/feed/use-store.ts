import { useEffect, useState } from 'preact/hooks';
import type { Store } from './store.js';

/** Components that follow a store. */

/** Parts of the page that are due to be rendered. One takes its turn in each frame, so that no frame has to wait for all of them. */
const due: (() => void)[] = [];

function takeTurn(show: () => void): void {
  due.push(show);
  if (due.length === 1) requestAnimationFrame(nextTurn);
}

function nextTurn(): void {
  due.shift()?.();
  if (due.length > 0) requestAnimationFrame(nextTurn);
}

/** The store's value, rendered at most once in `intervalMs`, so that a busy fleet does not keep the page busy. */
export function useStore<T>(store: Store<T>, intervalMs = 0): T {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    let over = false;
    const show = () => {
      timer = null;
      if (!over) setValue(() => store.value);
    };
    const unsubscribe = store.subscribe(() => {
      if (intervalMs === 0) show();
      else timer ??= setTimeout(() => takeTurn(show), intervalMs);
    });
    show();
    return () => {
      over = true;
      unsubscribe();
      if (timer !== null) clearTimeout(timer);
    };
  }, [store, intervalMs]);
  return value;
}
