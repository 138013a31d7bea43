import type { LiveRun } from '../live/live-run.js';
import { isTerminalRun } from '../run/run.js';
import { END, type Freshness, freshnessFrame, GREETING, newsFrame, PING } from './frames.js';

/** What a stream needs of the live run it watches. It closes that handle at its end. */
export type StreamedRun = Pick<
  LiveRun,
  'connected' | 'caughtUp' | 'ended' | 'getSnapshot' | 'changeSince' | 'subscribe' | 'onFreshness' | 'close'
>;

export interface EventStreamOptions {
  /** What the reader has already; 0, or a seq that the run has not reached, asks for a snapshot. */
  readonly since: number;
  /** Seconds of silence after which a comment is sent. */
  readonly pingInterval: number;
  /** Seconds that a reader may take no byte. */
  readonly writeTimeout: number;
  /** Seconds between two questions whether the reader may still watch. */
  readonly authorizeInterval: number;
  /** Aborts when the reader is gone. */
  readonly signal: AbortSignal;
  stillPermitted(): Promise<boolean>;
  /** Called once, when nothing of the stream is left. */
  onEnd(): void;
}

// A large frame goes out in slices, so that the write deadline measures bytes that move: a slow
// reader of a large snapshot is not taken for a dead one.
const SLICE_BYTES = 64 * 1024;

/** The bytes of `text/event-stream` for one reader of one run. See {@link RunEventStream}. */
export function openEventStream(live: StreamedRun, options: EventStreamOptions): ReadableStream<Uint8Array> {
  // With a high-water mark of 0 the stream holds nothing: each frame is made when it is asked for.
  return new ReadableStream(new RunEventStream(live, options), { highWaterMark: 0 });
}

/**
 * Tells one reader of one run's changes.
 *
 * There is no queue. When the reader asks for bytes it gets what it lacks at that moment, in one
 * change; what happens while it is not asking costs nothing. So memory stays flat however slow a
 * reader is, and a slow reader sees fewer, wider changes.
 *
 * Modes: `busy` (the reader has not asked for more yet; the write deadline runs) ⇄ `ready` (it
 * waits for news; the ping runs) → `ended` (the live run's handle is closed, no timer is left).
 */
class RunEventStream implements UnderlyingDefaultSource<Uint8Array> {
  #mode: 'busy' | 'ready' | 'ended' = 'busy';
  readonly #live: StreamedRun;
  readonly #options: EventStreamOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #sent: number;
  #freshness: Freshness = { connected: true, caughtUp: true };
  #rest: Uint8Array | null = GREETING;
  #said: 'running' | 'end' = 'running';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #recheck: ReturnType<typeof setInterval> | undefined;
  #rechecking = false;
  #stops: (() => void)[] = [];

  constructor(live: StreamedRun, options: EventStreamOptions) {
    this.#live = live;
    this.#options = options;
    this.#sent = options.since;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    const offer = () => this.#offer();
    this.#stops = [this.#live.subscribe(offer), this.#live.onFreshness(offer)];
    this.#recheck = setInterval(() => void this.#authorizeAgain(), this.#options.authorizeInterval * 1000);
    this.#options.signal.addEventListener('abort', this.#abort, { once: true });
    this.#enter('busy');
    if (this.#options.signal.aborted) this.#abort();
  }

  pull(): void {
    if (this.#mode === 'ended') return;
    this.#enter('ready');
    this.#offer();
  }

  cancel(): void {
    this.#enter('ended');
  }

  /** Gives a waiting reader what it lacks. */
  #offer(): void {
    if (this.#mode !== 'ready') return;
    const bytes = this.#rest ?? this.#nextFrame();
    if (bytes !== null) this.#send(bytes);
    else if (this.#said === 'end' || this.#live.ended !== null) this.#finish();
  }

  #nextFrame(): Uint8Array | null {
    if (this.#said === 'end') return null;
    const run = this.#live.getSnapshot();
    const news = newsFrame(this.#live, this.#sent);
    if (news !== null) {
      this.#sent = run.seq;
      return news;
    }
    if (isTerminalRun(run.status) || this.#live.ended?.code === 'RUN_NOT_FOUND') {
      this.#said = 'end';
      return END;
    }
    return this.#freshnessNews();
  }

  // Behind for a moment while connected is how every reordered message looks: that is no news.
  #freshnessNews(): Uint8Array | null {
    const { connected, caughtUp } = this.#live;
    const isNews = connected !== this.#freshness.connected || (caughtUp && !this.#freshness.caughtUp);
    if (!isNews || this.#live.ended !== null) return null;
    this.#freshness = { connected, caughtUp };
    return freshnessFrame(this.#freshness);
  }

  #send(bytes: Uint8Array): void {
    this.#rest = bytes.byteLength > SLICE_BYTES ? bytes.subarray(SLICE_BYTES) : null;
    this.#enter('busy');
    this.#controller.enqueue(bytes.subarray(0, SLICE_BYTES));
  }

  #ping(): void {
    this.#offer();
    if (this.#mode === 'ready') this.#send(PING);
  }

  async #authorizeAgain(): Promise<void> {
    // An answer that takes longer than the interval is not a yes.
    const isOverdue = this.#rechecking;
    this.#rechecking = true;
    const permitted = !isOverdue && (await this.#options.stillPermitted());
    this.#rechecking = false;
    if (!permitted) this.#drop('this reader may not, or no longer for certain, watch the run');
  }

  readonly #abort = (): void => this.#drop('the reader is gone');

  #finish(): void {
    this.#enter('ended');
    this.#controller.close();
  }

  // A reader that takes its time would see a plain close only once it has taken the rest: an error ends it now.
  #drop(reason: string): void {
    if (this.#mode === 'ready') this.#finish();
    if (this.#mode === 'ended') return;
    this.#enter('ended');
    this.#controller.error(new Error(`The event stream was ended: ${reason}.`));
  }

  #enter(mode: 'busy' | 'ready' | 'ended'): void {
    if (this.#mode === 'ended') return;
    this.#mode = mode;
    clearTimeout(this.#timer);
    const { pingInterval, writeTimeout } = this.#options;
    if (mode === 'ready') this.#timer = setTimeout(() => this.#ping(), pingInterval * 1000);
    if (mode === 'busy') {
      this.#timer = setTimeout(() => this.#drop('the reader takes nothing'), writeTimeout * 1000);
    }
    if (mode === 'ended') this.#release();
  }

  #release(): void {
    clearInterval(this.#recheck);
    this.#options.signal.removeEventListener('abort', this.#abort);
    this.#rest = null;
    for (const stop of this.#stops) stop();
    this.#live.close();
    this.#options.onEnd();
  }
}
