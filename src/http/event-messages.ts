import { createParser } from 'eventsource-parser';
import { decodeChange, decodeRun } from '../run/codec.js';
import { readOrNull } from '../run/wire.js';
import type { StreamEvent } from './reader-machine.js';

export function isEventStream(response: Response): boolean {
  return response.ok && /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
}

/** Reads an event stream to its end. `heard` is called for every piece, be it a ping. */
export async function readEvents(
  response: Response,
  heard: () => void,
  tell: (event: StreamEvent) => void,
): Promise<void> {
  if (response.body === null) return;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      const told = decodeEvent(event, data);
      if (told !== null) tell(told);
    },
  });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    parser.feed(decoder.decode(value, { stream: true }));
  }
}

/** What a message says; `broken` when it should have said more, null when it is none of ours. */
export function decodeEvent(name: string | undefined, data: string): StreamEvent | null {
  const json = readOrNull(() => JSON.parse(data) as any);
  switch (name) {
    case 'snapshot': {
      const run = decodeRun(json?.run);
      return run === null ? { type: 'broken' } : { type: 'snapshot', run };
    }
    case 'change': {
      const change = decodeChange(json);
      return change === null ? { type: 'broken' } : { type: 'change', change };
    }
    case 'freshness':
      return { type: 'freshness', connected: json?.connected === true, caughtUp: json?.caughtUp === true };
    case 'end':
      // A reader that has the last state stopped listening before this came.
      return { type: 'broken' };
    default:
      return null;
  }
}
