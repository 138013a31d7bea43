import type { RunView } from 'pgflow-live/client';
import { useState } from 'react';

/** How far what is shown can be trusted to be the newest. */
export interface Freshness {
  readonly look: 'live' | 'waiting' | 'lost' | 'finished';
  readonly text: string;
}

/** Null where nothing is shown that could be old. */
export function useFreshness({ state, connected, caughtUp }: RunView): Freshness | null {
  const [wasConnected, setWasConnected] = useState(false);
  if (connected && !wasConnected) setWasConnected(true);

  if (state === 'settled') return { look: 'finished', text: 'Finished' };
  if (state === 'missing' || state === 'error') return null;
  if (connected && caughtUp) return { look: 'live', text: 'Live' };
  if (connected) return { look: 'waiting', text: 'Catching up …' };
  return wasConnected ? { look: 'lost', text: 'Reconnecting …' } : { look: 'waiting', text: 'Connecting …' };
}

export function FreshnessBadge({ freshness: { look, text } }: { freshness: Freshness }) {
  return (
    <span className={`freshness ${look}`}>
      <span className="dot" aria-hidden="true" />
      {text}
    </span>
  );
}
