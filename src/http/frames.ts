import type { LiveRun } from '../live/live-run.js';
import { encodeChange, encodeRun } from '../run/codec.js';
import type { Run } from '../run/run.js';

const encoder = new TextEncoder();

/** The first line of a stream: proxies that wait for a first byte pass on what follows. */
export const GREETING = encoder.encode(': pgflow\n\n');
export const PING = encoder.encode(': ping\n\n');
export const END = encoder.encode('event: end\ndata: {}\n\n');

/** What is read of a live run to write its frames. */
export type FrameSource = Pick<LiveRun, 'getSnapshot' | 'changeSince'>;

// Frames kept per state of a run. Readers that keep up all stand at the same seq and new ones at 0,
// so two serve nearly all; stragglers at other places must not make it grow.
const FRAMES_KEPT = 4;
const framesOf = new WeakMap<Run, Map<number, Uint8Array>>();

/**
 * The frame that brings a reader at `since` to the run's newest state: a `snapshot` for 0, else a
 * `change`. Null when it is there. Encoded once for all readers who stand at the same place.
 */
export function newsFrame(source: FrameSource, since: number): Uint8Array | null {
  const run = source.getSnapshot();
  if (since === run.seq) return null;
  const kept = framesOf.get(run) ?? new Map<number, Uint8Array>();
  framesOf.set(run, kept);
  const known = kept.get(since);
  if (known !== undefined) return known;
  const frame = encodeNews(source, run, since);
  if (frame !== null && kept.size < FRAMES_KEPT) kept.set(since, frame);
  return frame;
}

function encodeNews(source: FrameSource, run: Run, since: number): Uint8Array | null {
  const change = since === 0 ? null : source.changeSince(since);
  if (since !== 0 && change === null) return null;
  if (change === null || change.since === 0) return frame('snapshot', run.seq, { run: encodeRun(run) });
  return frame('change', change.seq, encodeChange(change));
}

/** How far the server itself can be trusted to be up to date. */
export interface Freshness {
  readonly connected: boolean;
  readonly caughtUp: boolean;
}

export function freshnessFrame({ connected, caughtUp }: Freshness): Uint8Array {
  return encoder.encode(`event: freshness\ndata: ${JSON.stringify({ connected, caughtUp })}\n\n`);
}

// JSON has no raw newline, so one data line carries it and nothing in it can pose as another field.
function frame(event: string, id: number, data: unknown): Uint8Array {
  return encoder.encode(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
