import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { FeedConnection } from '../feed/connection.js';
import { REPLAY_MS } from '../feed/fleet-model.js';
import { counted } from '../parts/words.js';

/** The last minute of the ring, paused or played again. */

/** The picture is a little behind, so that steps that come together are drawn one after another. */
const DELAY_MS = 400;
const REFRESH_MS = 250;

export interface ReplayState {
  /** Null while the page is live. */
  readonly agoMs: number | null;
  readonly paused: boolean;
  /** The time that is shown. */
  time(): number;
  /** Shows the fleet as it was so long ago; null for live. */
  seek(agoMs: number | null): void;
  pause(): void;
  play(): void;
}

export function useReplay(feed: FeedConnection): ReplayState {
  const [agoMs, setAgoMs] = useState<number | null>(null);
  const [paused, setPaused] = useState(false);
  /** The frozen time while paused; else how far the picture is behind. */
  const frozen = useRef<number | null>(null);
  const behind = useRef(DELAY_MS);
  const time = useCallback(() => frozen.current ?? feed.now() - behind.current, [feed]);
  useEffect(() => {
    if (!paused) return;
    // A paused picture falls behind, but not out of the last minute.
    const timer = setInterval(() => {
      // The picture is live again, and this effect not yet taken back.
      if (frozen.current === null) return;
      const ago = Math.min(REPLAY_MS, feed.now() - time());
      if (ago >= REPLAY_MS) frozen.current = feed.now() - REPLAY_MS;
      setAgoMs(ago);
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [paused, feed, time]);
  return {
    agoMs,
    paused,
    time,
    seek: (ago) => {
      behind.current = ago ?? DELAY_MS;
      frozen.current = paused && ago !== null ? feed.now() - ago : null;
      if (ago === null) setPaused(false);
      setAgoMs(ago);
    },
    pause: () => {
      frozen.current = time();
      setAgoMs(feed.now() - frozen.current);
      setPaused(true);
    },
    play: () => {
      behind.current = Math.max(DELAY_MS, feed.now() - time());
      frozen.current = null;
      setPaused(false);
    },
  };
}

interface ReplaySliderProps {
  readonly replay: ReplayState;
  /** Whether the page hears nothing of the fleet. */
  readonly lost: boolean;
}

export function ReplaySlider({ replay, lost }: ReplaySliderProps) {
  const seconds = Math.round((replay.agoMs ?? 0) / 1_000);
  return (
    <div class="replay">
      <button type="button" class="small" onClick={replay.paused ? replay.play : replay.pause}>
        {replay.paused ? 'Play' : 'Pause'}
      </button>
      <label>
        <span class="visually-hidden">The last minute</span>
        <input
          type="range"
          min={-REPLAY_MS / 1_000}
          max={0}
          step={1}
          value={-seconds}
          aria-valuetext={replay.agoMs === null ? 'now' : `${counted(seconds, 'second')} ago`}
          onInput={(event) => {
            const ago = -1_000 * Number(event.currentTarget.value);
            replay.seek(ago === 0 ? null : ago);
          }}
        />
      </label>
      <button type="button" class="small" disabled={replay.agoMs === null} onClick={() => replay.seek(null)}>
        Live
      </button>
      <span class="number replay-at">{replay.agoMs !== null ? `${seconds} s ago` : lost ? 'not live' : 'live'}</span>
    </div>
  );
}
