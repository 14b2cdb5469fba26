import { useStore } from './feed/use-store.js';
import { counted } from './parts/words.js';
import type { TabWork } from './tab-work.js';

/** Buttons that stop the work of this tab, on the pages that do not show it. */
export function RunningWork({ work, page }: { readonly work: TabWork; readonly page: string }) {
  const { busy } = useStore(work.log.chat, 500);
  const { running, counts } = useStore(work.asking.state, 500);
  const { right, wrong, failed } = counts;
  return (
    <>
      {busy && page !== 'chat' && (
        <button type="button" class="small" title="An answer runs on the page Chat" onClick={() => work.log.stop()}>
          Stop the answer
        </button>
      )}
      {running && page !== 'ring' && (
        <button
          type="button"
          class="small"
          title={`Asked from the page Ring: ${counted(right, 'answer')} right, ${wrong} wrong, ${failed} failed`}
          onClick={() => work.asking.stop()}
        >
          Stop asking
        </button>
      )}
    </>
  );
}
