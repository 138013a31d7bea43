import type { Run } from '../run/run.js';
import { isEventStream, readEvents } from './event-messages.js';
import { readError } from './http-call.js';
import {
  createReader,
  type ReaderEffect,
  type ReaderEvent,
  type ReaderState,
  stepReader,
} from './reader-machine.js';
import { LOADING, type RunView, viewOf } from './run-view.js';
import { onWake } from './wake.js';

/** Opens the event stream, resuming after `since` unless that is 0. */
export type OpenStream = (since: number, signal: AbortSignal) => Promise<Response>;

/** Without a byte for this long the connection is taken for dead: three times the server's ping. */
const SILENCE_MS = 45_000;

/**
 * Keeps one run up to date over HTTP: does what `reader-machine.ts` says and tells it what happens.
 *
 * Modes: those of the machine; `#take` alone changes them. There is one connection with its silence
 * timer, or one timer, or neither; what an earlier connection still says is dropped.
 */
export class StreamReader {
  #state: ReaderState;
  #view: RunView = LOADING;
  readonly #open: OpenStream;
  readonly #onView: () => void;
  #connection: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heardAt = 0;
  #stopWaking: () => void = () => {};

  constructor(runId: string, open: OpenStream, onView: () => void) {
    this.#state = createReader(runId);
    this.#open = open;
    this.#onView = onView;
  }

  get view(): RunView {
    return this.#view;
  }

  start(): void {
    if (this.#state.mode !== 'idle') return;
    this.#stopWaking = onWake(() => this.#take({ type: 'woken', silentMs: Date.now() - this.#heardAt }));
    this.#take({ type: 'start' });
  }

  stop(): void {
    this.#stopWaking();
    this.#take({ type: 'stop' });
  }

  /** A reply to another request brought this run. */
  give(run: Run): void {
    this.#take({ type: 'given', run });
  }

  #take(event: ReaderEvent): void {
    const { next, effect } = stepReader(this.#state, event, Date.now());
    this.#state = next;
    if (effect !== null) this.#perform(effect);
    const view = viewOf(next, this.#view);
    if (view === this.#view) return;
    this.#view = view;
    this.#onView();
  }

  #perform(effect: ReaderEffect): void {
    this.#connection?.abort();
    this.#connection = null;
    clearTimeout(this.#timer);
    if (effect.type === 'connect') void this.#connect(effect.since);
    if (effect.type === 'wait') {
      const delay = effect.minMs + Math.random() * (effect.maxMs - effect.minMs);
      this.#timer = setTimeout(() => this.#take({ type: 'due' }), delay);
    }
  }

  async #connect(since: number): Promise<void> {
    const connection = new AbortController();
    this.#connection = connection;
    const isCurrent = () => this.#connection === connection;
    const tell = (event: ReaderEvent) => {
      if (isCurrent()) this.#take(event);
    };
    const heard = () => {
      if (isCurrent()) this.#awaitNextByte(() => tell({ type: 'lost' }));
    };
    heard();
    try {
      const response = await this.#open(since, connection.signal);
      heard();
      if (isEventStream(response)) {
        tell({ type: 'opened', seq: Number(response.headers.get('pgflow-seq') ?? 0) });
        await readEvents(response, heard, tell);
      } else {
        tell({ type: 'refused', status: response.status, error: await readError(response) });
      }
    } catch {
      // The network, our own abort, or `headers` that threw: each is tried again.
    }
    tell({ type: 'lost' });
  }

  #awaitNextByte(onSilence: () => void): void {
    this.#heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(onSilence, SILENCE_MS);
  }
}
