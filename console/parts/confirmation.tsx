import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiFailure } from '../session/api.js';
import type { Deed } from './deed.js';

/** Asks before something is done, does it, and shows the error if it fails. */

export function Confirmation({ deed, onClose }: { readonly deed: Deed | null; readonly onClose: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  /** The deeds that are not done yet: a reader may begin one while another lasts. */
  const [running, setRunning] = useState<readonly Deed[]>([]);
  const act = async (begun: Deed) => {
    onClose();
    setProblem(null);
    setRunning((all) => [...all, begun]);
    try {
      await begun.act();
    } catch (error) {
      setProblem(error instanceof ApiFailure ? `${begun.label}: ${error.message}` : String(error));
    }
    setRunning((all) => all.filter((each) => each !== begun));
  };
  return (
    <>
      {deed !== null && <Question deed={deed} onAct={() => act(deed)} onClose={onClose} />}
      <p class="running hint" role="status">
        {running.map(({ doing, label }) => `${doing ?? label}…`).join(' ')}
      </p>
      {problem !== null && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}

interface QuestionProps {
  readonly deed: Deed;
  readonly onAct: () => void;
  readonly onClose: () => void;
}

function Question({ deed, onAct, onClose }: QuestionProps) {
  const cancel = useRef<HTMLButtonElement>(null);
  // Once for each deed: the page is rendered again and again, and the reader may be at the other button by then.
  // Before anybody can press a key.
  useLayoutEffect(() => {
    const before = document.activeElement;
    cancel.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [deed]);
  return (
    <div
      class="confirm"
      role="alertdialog"
      aria-labelledby="confirm-text"
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <p id="confirm-text">{deed.question}</p>
      <p class="buttons">
        {/* First, and with the focus: Enter pressed twice must do no harm. */}
        <button type="button" ref={cancel} onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="primary" onClick={onAct}>
          {deed.label}
        </button>
      </p>
    </div>
  );
}
